# SPDX-License-Identifier: MIT
"""The fused network with byte products in its blocks and local head; see int8.py."""

from __future__ import annotations

from functools import partial

import torch

from selavpr_model.errors import EngineError
from selavpr_model.features.engines.fused import FusedSelaVPR, MakeLinear, Transform
from selavpr_model.features.engines.int8 import library, Trunk, Up
from selavpr_model.features.engines.linears import bf16_is_fast, PackedLinear
from selavpr_model.features.network import LocalAdaptation, SelaVPR


class Int8SelaVPR(FusedSelaVPR):
    """The same contract; EngineError where the network or this CPU is not one of the kernel's.

    The patch embedding is in bf16. Threads are those that torch has when it is made.
    """

    local_dtype = torch.float32

    def __init__(self, network: SelaVPR, size: tuple[int, int]) -> None:
        library()
        if not bf16_is_fast():
            raise EngineError('this CPU has no bf16 instructions (avx512_bf16)')
        super().__init__(
            network, size, partial(PackedLinear, dtype=torch.bfloat16), torch.bfloat16
        )

    def make_body(self, network: SelaVPR, make: MakeLinear) -> Transform:
        tokens = 1 + network.config.registers + self.rows * self.columns
        return Trunk(network.backbone, tokens, torch.get_num_threads())

    def make_local(self, local: LocalAdaptation, make: MakeLinear) -> Transform:
        threads = torch.get_num_threads()
        first, second = Up(local.up1, True, threads), Up(local.up2, False, threads)
        return lambda grid: second(first(grid))
