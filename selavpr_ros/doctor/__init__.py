# SPDX-License-Identifier: MIT
"""`selavpr doctor`: what a robot or a bag sends, looked at with the eyes of who wants a pose."""
