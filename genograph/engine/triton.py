"""The weighted-bag kernel for CUDA in Triton: a program a row and block of columns.

Not imported unless it is chosen, so that Triton stays optional. TRITON_INTERPRET=1 runs it without
a GPU, which is how it is tested where there is none.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

MOST = 128


@triton.jit  # type: ignore[untyped-decorator,unused-ignore]
def _bag(x, offsets, column, weight, out, d, BLOCK: tl.constexpr, WIDE: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    row = tl.program_id(0).to(tl.int64)
    lane = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = lane < d
    total = tl.zeros((BLOCK,), dtype=tl.float64 if WIDE else tl.float32)
    for entry in range(tl.load(offsets + row), tl.load(offsets + row + 1)):
        source = tl.load(column + entry).to(tl.int64)
        total += tl.load(weight + entry) * tl.load(x + source * d + lane, mask=inside, other=0.0)
    tl.store(out + row * d + lane, total, mask=inside)


def bag_rows(x: Tensor, offsets: Tensor, column: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums of rows of x; rows without entries are 0."""
    x = x.contiguous()
    n_row, d = len(offsets) - 1, x.shape[1]
    out = x.new_empty((n_row, d))
    block = min(int(triton.next_power_of_2(d)), MOST)
    grid = (n_row, triton.cdiv(d, block))
    _bag[grid](x, offsets, column, weight, out, d, BLOCK=block, WIDE=x.dtype == torch.float64)
    return out
