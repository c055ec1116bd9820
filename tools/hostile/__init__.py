# SPDX-License-Identifier: MIT
"""What tools/campaign.py tries: hostile files and messages by number, kills, full disks, hours."""
