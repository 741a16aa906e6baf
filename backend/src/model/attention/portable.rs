//! Attention from candle's own operations, for devices and types without a kernel of ours: each sequence's
//! keys and values are gathered, then multiplied with scores in f32.

use candle_core::{D, DType, Device, Result, Tensor};

use super::{Geometry, Span};

pub(crate) fn forward(
    geometry: Geometry,
    spans: &[Span<'_>],
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
) -> Result<Tensor> {
    let mut first = 0;
    let mut outputs = Vec::with_capacity(spans.len());
    for span in spans {
        let queries = queries.narrow(0, first, span.tokens)?;
        outputs.push(sequence(geometry, span, &queries, keys, values)?);
        first += span.tokens;
    }
    Tensor::cat(&outputs, 0)
}

fn sequence(
    geometry: Geometry,
    span: &Span<'_>,
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
) -> Result<Tensor> {
    let Geometry { heads, kv_heads, head_dim, scale, softcap, .. } = geometry;
    let (tokens, device) = (span.tokens, queries.device());
    // What even the first token does not see is not gathered.
    let first = geometry.first_visible(span.start + 1);
    let length = span.end() - first;
    let slots = Tensor::from_vec(span.slots(first, span.end()).collect(), length, device)?;
    let gather = |pool: &Tensor| {
        pool.index_select(&slots, 0)?.reshape((length, kv_heads, head_dim))?.transpose(0, 1)?.contiguous()
    };
    // Queries that share a key head become rows of one product.
    let group = heads / kv_heads;
    let queries = queries.reshape((tokens, kv_heads, group, head_dim))?.permute((1, 2, 0, 3))?;
    let queries = queries.reshape((kv_heads, group * tokens, head_dim))?;
    let scores = (queries.matmul(&gather(keys)?.t()?)?.to_dtype(DType::F32)? * f64::from(scale))?;
    let scores = match softcap.map(f64::from) {
        Some(cap) => ((scores / cap)?.tanh()? * cap)?,
        None => scores,
    };
    let scores = scores.reshape((kv_heads, group, tokens, length))?;
    let scores = scores.broadcast_add(&mask(geometry, span, device)?)?;
    let weights = candle_nn::ops::softmax(&scores, D::Minus1)?.to_dtype(values.dtype())?;
    let mixed = weights.reshape((kv_heads, group * tokens, length))?.matmul(&gather(values)?)?;
    let mixed = mixed.reshape((kv_heads, group, tokens, head_dim))?.permute((2, 0, 1, 3))?;
    mixed.reshape((tokens, heads * head_dim))
}

/// `[tokens, length]`: minus infinity where a token would look ahead, or back past its window.
fn mask(geometry: Geometry, span: &Span<'_>, device: &Device) -> Result<Tensor> {
    let positions = geometry.first_visible(span.start + 1)..span.end();
    let (tokens, length) = (span.tokens, positions.len());
    let value = |visible: usize, at: usize| {
        let seen = at < visible && at >= geometry.first_visible(visible);
        if seen { 0.0 } else { f32::NEG_INFINITY }
    };
    let row = |token: usize| positions.clone().map(move |at| value(span.start + token + 1, at));
    Tensor::from_vec((0..tokens).flat_map(row).collect(), (tokens, length), device)
}
