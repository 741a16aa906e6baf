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

#[cfg(test)]
mod tests {
    use super::KERNELS;

    #[test]
    fn every_kernel_awaits_the_one_before() {
        let kernels: Vec<&str> = KERNELS.split("extern \"C\" __global__").skip(1).collect();
        assert_eq!(kernels.len(), 9, "a kernel is new: does it await the one before?");
        for kernel in kernels {
            let body = kernel.split_once('{').expect("a body").1.trim_start_matches([' ', '\\', '\n']);
            // Those of `multiply` are one, which begins with what is nobody's output.
            let waits = body.starts_with("await_previous();") || body.starts_with("multiply<tokens>(");
            assert!(waits, "{kernel}");
        }
        let multiply = KERNELS.split_once("inline void multiply(").expect("multiply").1;
        let (before, after) =
            multiply.split_once("    await_previous();\n").expect("multiply awaits the one before");
        assert!(before.contains("return await_previous();"), "blocks without outputs await it, too");
        assert!(!before.contains("multiply_add_vector") && after.contains("multiply_add_vector"));
    }
}
