# SPDX-License-Identifier: MIT
"""The fused network with the compiled byte products of native/trunk.cpp in blocks and local head.

Weights are whole numbers with one scale for each output channel; activations get a scale and a
zero for each token as they come, so nothing is calibrated. Sums, the residual and the norms stay
exact. The result depends neither on threads nor on the other images. All instruction sets give the
same bits with the same weights, with two exceptions: for avx2 weights are rounded more, and with
avx512bf16 attention and patch embedding are in bf16, elsewhere in float32.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from typing import cast
import weakref

import torch
from torch import nn, Tensor

from selavpr_model.errors import EngineError
from selavpr_model.features.engines.fused import (
    FusedSelaVPR,
    MakeLinear,
    phases_of,
    product_of,
    scaled_queries,
    Transform,
    weights_of,
)
from selavpr_model.features.engines.linears import bf16_is_fast, packed_linear
from selavpr_model.features.network import LocalAdaptation, SelaVPR
from selavpr_model.features.vit import Block, Mlp, VisionTransformer
from selavpr_model.runtime.native import LIMIT, load, SETS, sets_of

HEAD = 64  # channels of a head that the kernel is written for: DINOv2's
WIDE = 64  # every width is padded to a multiple of this
LANE = 128  # 255 times this fits into 16 bits
Weights = tuple[Tensor, Tensor]
_POINTER = ctypes.c_void_p


class Product(ctypes.Structure):
    """As trunk.cpp's; all pointers null: no such product."""

    _fields_ = (
        *((name, _POINTER) for name in ('weight', 'scale', 'sums', 'bias')),
        ('inputs', ctypes.c_int64),
        ('outputs', ctypes.c_int64),
    )


NORMS = ('norm1', 'norm1_bias', 'norm2', 'norm2_bias')
PRODUCTS = ('qkv', 'proj', 'down1', 'up1', 'fc1', 'fc2', 'down2', 'up2')


class CBlock(ctypes.Structure):
    """As trunk.cpp's Block."""

    _fields_ = (*((n, _POINTER) for n in NORMS), *((n, Product) for n in PRODUCTS))


@functools.lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """The kernel; EngineError where it was not built."""
    kernel, why = load('trunk')
    if kernel is None:
        raise EngineError(f'no int8 kernel, as {why}; install a C++ compiler and run make setup')
    kernel.selavpr_trunk_new.restype = _POINTER
    return kernel


def instruction_sets() -> list[str]:
    """Those that the kernel has code for, SELAVPR_ISA allows and this CPU has, the best last.

    `scalar` is what the others are compared with, and slow.
    """
    return sets_of(library(), 'trunk')


def _best_set() -> str:
    best = instruction_sets()[-1]
    if best == 'scalar':
        raise EngineError(
            'no int8 products here: expected avx2, or dot products on arm64 (asimddp), got a CPU '
            f'without them or {LIMIT}={os.environ.get(LIMIT, "")}; use fp32'
        )
    return best


class Packed:
    """Products and the tensors that they point to, for one instruction set."""

    def __init__(self, instructions: str = '', lanes: bool | None = None) -> None:
        """instructions: '' is the best there is; EngineError where that is `scalar`.

        lanes: whether weights are rounded so that AVX2 can add them; None: where it has to.
        """
        best = instructions or _best_set()
        self._set, self._lanes = SETS[best], best == 'avx2' if lanes is None else lanes
        self._panel = library().selavpr_trunk_panel(self._set)
        self._tensors: list[Tensor] = []

    def keep(self, tensor: Tensor) -> int:
        """Its address, which stays valid."""
        self._tensors.append(tensor.detach().contiguous())
        return self._tensors[-1].data_ptr()

    def product(self, weight: Tensor, bias: Tensor) -> Product:
        """Weights (out, in) and bias (out,), padded with zeros, as bytes in the kernel's order."""
        rows, columns = (_padded(n) for n in weight.shape)
        missing = (0, columns - weight.shape[1], 0, rows - weight.shape[0])
        whole = nn.functional.pad(weight.detach().float(), missing)
        codes, scale = whole_numbers(whole, self._lanes)
        panels = codes.view(-1, self._panel, columns // 4, 4).permute(0, 2, 1, 3)
        sums = codes.sum(dim=1, dtype=torch.int32)
        padded = nn.functional.pad(bias.detach().float(), (0, rows - len(bias)))
        parts = (self.keep(tensor) for tensor in (panels, scale, sums, padded))
        return Product(*parts, columns, rows)


def whole_numbers(weight: Tensor, lanes: bool) -> tuple[Tensor, Tensor]:
    """Weights (out, in), in a multiple of 8, as int8 codes and the scale of each row, float32.

    lanes: codes that AVX2 can add. It adds four products in 16 bits (native/bytes_avx2.h), so the
    positive codes of such four, and the negative ones, sum up to LANE at most. That rounds the
    weights of `selavpr_vits14` 1.6 times as much (root of the mean square).
    """
    scale = weight.abs().amax(1) / 127
    if lanes:
        fours = weight.view(len(weight), -1, 2, 2, 2)  # eight inputs: two steps of two pairs
        sums = [part.sum(dim=(2, 4)).amax(dim=(1, 2)) for part in (fours.relu(), (-fours).relu())]
        rounding = 2  # four codes rounded up by a half each
        scale = torch.maximum(scale, torch.maximum(*sums) / (LANE - rounding))
    scale = scale.clamp(min=1e-30)
    return (weight / scale[:, None]).round().to(torch.int8), scale


class Trunk(Packed):
    """All blocks of a vision transformer for one number of tokens; EngineError says what is not in
    the kernel."""

    def __init__(
        self,
        vit: VisionTransformer,
        tokens: int,
        threads: int,
        instructions: str = '',
        lanes: bool | None = None,
    ) -> None:
        super().__init__(instructions, lanes)
        lib, first = library(), cast(Block, vit.blocks[0])
        if not isinstance(first.mlp, Mlp) or vit.dim != HEAD * first.attn.heads:
            raise EngineError(f'int8 has no SwiGLU and no heads but those of {HEAD} channels')
        blocks = [self._block(cast(Block, block)) for block in vit.blocks]
        width = max(max(getattr(b, n).outputs for n in PRODUCTS) for b in blocks)
        self._run, self._lock = lib.selavpr_trunk_run, threading.Lock()
        sizes = (ctypes.c_int64(n) for n in (len(blocks), tokens, vit.dim, width))
        eps = ctypes.c_float(first.norm1.eps)
        array = (CBlock * len(blocks))(*blocks)
        self._trunk = _POINTER(lib.selavpr_trunk_new(self._set, array, *sizes, eps, threads))
        if not self._trunk:
            raise EngineError('out of memory for the int8 kernel')
        weakref.finalize(self, lib.selavpr_trunk_delete, self._trunk)
        self.shape = (tokens, vit.dim)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, tokens, dim) -> the same through all blocks; a float32 input is overwritten."""
        x = x.float().contiguous()
        assert x.shape[1:] == self.shape
        with self._lock:  # its buffers are for one caller
            failed = sum(self._run(self._trunk, _POINTER(one.data_ptr())) for one in x)
        if failed:
            raise MemoryError('int8 kernel: no threads to be had')
        return x

    def _block(self, block: Block) -> CBlock:
        first, second = block.ls1.gamma.detach(), block.ls2.gamma.detach()
        proj, mlp = weights_of(block.attn.proj), cast(Mlp, block.mlp)
        products = {
            'qkv': scaled_queries(block),
            'proj': _scaled(proj, first),
            'fc1': weights_of(mlp.fc1),
            'fc2': _scaled(weights_of(mlp.fc2), second),
        }
        if block.serial is not None:
            products['down1'] = product_of(weights_of(block.serial.down), proj)
            products['up1'] = _scaled(weights_of(block.serial.up), first)
        if block.parallel is not None:
            products['down2'] = weights_of(block.parallel.down)
            products['up2'] = _scaled(weights_of(block.parallel.up), block.scale * second)
        norms = (block.norm1.weight, block.norm1.bias, block.norm2.weight, block.norm2.bias)
        named = {
            name: self.keep(tensor.float()) for name, tensor in zip(NORMS, norms, strict=True)
        }
        return CBlock(**named, **{name: self.product(*w) for name, w in products.items()})


class Up(Packed):
    """fused.FusedUp with byte products: (B, n, m, in) -> (B, 2n - 1, 2m - 1, out), float32."""

    def __init__(
        self,
        conv: nn.ConvTranspose2d,
        relu: bool,
        threads: int,
        instructions: str = '',
        lanes: bool | None = None,
    ) -> None:
        super().__init__(instructions, lanes)
        self.channels = conv.in_channels, conv.out_channels
        if any(n % WIDE for n in self.channels):
            raise EngineError(f'int8 wants channels in multiples of {WIDE}, got {self.channels}')
        bias = cast(Tensor, conv.bias)
        self._phases = (Product * 4)(*(self.product(w, bias) for w in phases_of(conv)))
        self.relu, self.threads = relu, threads

    def __call__(self, x: Tensor) -> Tensor:
        x = x.float().contiguous()
        batch, rows, columns, inputs = x.shape
        assert inputs == self.channels[0]
        y = x.new_empty(batch, 2 * rows - 1, 2 * columns - 1, self.channels[1])
        sizes = ctypes.c_int64(rows), ctypes.c_int64(columns)
        for one, out in zip(x, y, strict=True):
            source, target = _POINTER(one.data_ptr()), _POINTER(out.data_ptr())
            failed = library().selavpr_trunk_up(
                self._set, self._phases, source, *sizes, target, int(self.relu), self.threads
            )
            if failed:
                raise MemoryError('int8 kernel: out of memory or threads')
        return y


class Int8SelaVPR(FusedSelaVPR):
    """The same contract; EngineError where the network or this CPU is not one of the kernel's.

    Threads are those that torch has when it is made.
    """

    local_dtype = torch.float32

    def __init__(self, network: SelaVPR, size: tuple[int, int]) -> None:
        in_bf16 = _best_set() == 'avx512bf16' and bf16_is_fast()
        dtype = torch.bfloat16 if in_bf16 else torch.float32
        super().__init__(network, size, packed_linear(dtype), dtype)

    def make_body(self, network: SelaVPR, make: MakeLinear) -> Transform:
        tokens = 1 + network.config.registers + self.rows * self.columns
        return Trunk(network.backbone, tokens, torch.get_num_threads())

    def make_local(self, local: LocalAdaptation, make: MakeLinear) -> Transform:
        threads = torch.get_num_threads()
        first, second = Up(local.up1, True, threads), Up(local.up2, False, threads)
        return lambda grid: second(first(grid))


def _scaled(weights: Weights, factor: Tensor) -> Weights:
    return factor[:, None] * weights[0], factor * weights[1]


def _padded(width: int) -> int:
    return -(-width // WIDE) * WIDE
