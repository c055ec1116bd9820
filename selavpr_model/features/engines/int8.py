# SPDX-License-Identifier: MIT
"""The fused network with the compiled byte products of native/trunk.cpp in blocks and local head.

Weights are whole numbers with one scale for each output channel; activations get a scale and a
zero for each token as they come, so nothing is calibrated. Sums, the residual and the norms stay
exact, attention is in bf16. The result depends neither on threads nor on the other images.
"""

from __future__ import annotations

import ctypes
import functools
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
from selavpr_model.features.engines.linears import bf16_is_fast, PackedLinear
from selavpr_model.features.network import LocalAdaptation, SelaVPR
from selavpr_model.features.vit import Block, Mlp, VisionTransformer
from selavpr_model.runtime.native import load

HEAD = 64  # channels of a head that the kernel is written for: DINOv2's
WIDE = 64  # every width is padded to a multiple of this
Weights = tuple[Tensor, Tensor]
_POINTER = ctypes.c_void_p


class Product(ctypes.Structure):
    """As vnni.h; all pointers null: no such product."""

    _fields_ = (
        *((name, _POINTER) for name in ('weight', 'scale', 'offset', 'bias')),
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
    """The kernel; EngineError where it was not built or this CPU cannot run it."""
    kernel, why = load('trunk')
    if kernel is None:
        raise EngineError(f'no int8 kernel, as {why}; install a C++ compiler and run make setup')
    if not kernel.selavpr_trunk_has():
        raise EngineError('this CPU has no int8 and bf16 products (avx512_vnni, avx512_bf16)')
    kernel.selavpr_trunk_new.restype = _POINTER
    return kernel


class Packed:
    """Products and the tensors that they point to."""

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []

    def keep(self, tensor: Tensor) -> int:
        """Its address, which stays valid."""
        self._tensors.append(tensor.detach().float().contiguous())
        return self._tensors[-1].data_ptr()

    def product(self, weight: Tensor, bias: Tensor) -> Product:
        """Weights (out, in) and bias (out,), padded with zeros, as bytes in the kernel's order."""
        rows, columns = (_padded(n) for n in weight.shape)
        whole = nn.functional.pad(
            weight.detach(), (0, columns - weight.shape[1], 0, rows - weight.shape[0])
        )
        scale = (whole.abs().amax(dim=1) / 127).clamp(min=1e-30)
        codes = (whole / scale[:, None]).round().to(torch.int8)
        panels = codes.view(-1, WIDE, columns // 4, 4).permute(0, 2, 1, 3).contiguous()
        self._tensors.append(panels)
        offset = scale * codes.sum(dim=1)
        padded = nn.functional.pad(bias.detach(), (0, rows - len(bias)))
        parts = (self.keep(t) for t in (scale, offset, padded))
        return Product(panels.data_ptr(), *parts, columns, rows)


class Trunk(Packed):
    """All blocks of a vision transformer for one number of tokens; EngineError says what is not in
    the kernel."""

    def __init__(self, vit: VisionTransformer, tokens: int, threads: int) -> None:
        super().__init__()
        lib, first = library(), cast(Block, vit.blocks[0])
        if not isinstance(first.mlp, Mlp) or vit.dim != HEAD * first.attn.heads:
            raise EngineError(f'int8 has no SwiGLU and no heads but those of {HEAD} channels')
        blocks = [self._block(cast(Block, block)) for block in vit.blocks]
        width = max(max(getattr(b, n).outputs for n in PRODUCTS) for b in blocks)
        self._run, self._lock = lib.selavpr_trunk_run, threading.Lock()
        sizes = (ctypes.c_int64(n) for n in (len(blocks), tokens, vit.dim, width))
        eps = ctypes.c_float(first.norm1.eps)
        array = (CBlock * len(blocks))(*blocks)
        self._trunk = _POINTER(lib.selavpr_trunk_new(array, *sizes, eps, threads))
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
        named = {name: self.keep(tensor) for name, tensor in zip(NORMS, norms, strict=True)}
        return CBlock(**named, **{name: self.product(*w) for name, w in products.items()})


class Up(Packed):
    """fused.FusedUp with byte products: (B, n, m, in) -> (B, 2n - 1, 2m - 1, out), float32."""

    def __init__(self, conv: nn.ConvTranspose2d, relu: bool, threads: int) -> None:
        super().__init__()
        library()
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
                self._phases, source, *sizes, target, int(self.relu), self.threads
            )
            if failed:
                raise MemoryError('int8 kernel: out of memory or threads')
        return y


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
            network, size, functools.partial(PackedLinear, dtype=torch.bfloat16), torch.bfloat16
        )

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
