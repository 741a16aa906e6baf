//! What is compiled: the kernels' text, and what it is told about the model.

use candle_core::DType;

use super::Shape;
use crate::model::cache::BLOCK_TOKENS;

/// All kernels as one unit.
pub(super) const KERNELS: &str = concat!(
    include_str!("kernels/numbers.cu"),
    include_str!("kernels/attention_rows.cu"),
    include_str!("kernels/attention_tiles.cu"),
    include_str!("kernels/rows.cu"),
    include_str!("kernels/multiply.cu"),
    include_str!("kernels/choose.cu"),
);

/// Names that the text expects to be defined.
pub(super) fn definitions(shape: Shape) -> Vec<String> {
    let element = match shape.dtype {
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        _ => "F32",
    };
    vec![
        format!("-DELEMENT_{element}"),
        format!("-DHEAD_DIM={}", shape.head_dim),
        format!("-DGROUP={}", shape.group()),
        format!("-DBLOCK_TOKENS={BLOCK_TOKENS}"),
    ]
}
