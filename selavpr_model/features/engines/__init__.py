# SPDX-License-Identifier: MIT
"""What runs the network: plain or fused PyTorch, int8 on the CPU, TensorRT."""
