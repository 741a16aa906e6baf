//! From the joined product of queries, keys and values to what attention reads.

use candle_core::{D, Result, Tensor};
use candle_nn::rotary_emb::rope_thd;

use super::Pass;
use super::layer::Layer;
use super::pieces::rms_norm;
use crate::model::cpu::heads::{Heads, IntoSlots, Turn};
use crate::model::cpu::{self, numbers};
use crate::model::rope::Angles;

impl Pass<'_> {
    /// Queries `[tokens, heads * head_dim]` of `qkv`, normed where the model does and turned by their tokens' positions; keys and values
    /// go to the cache.
    pub(super) fn place(&self, layer: &Layer, qkv: &Tensor, angles: &Angles) -> Result<Tensor> {
        if cpu::takes(qkv) {
            return self.place_by_kernel(layer, qkv, angles);
        }
        let (query_width, kv_width) = (self.config.query_width(), self.config.kv_width());
        let queries = self.heads(&qkv.narrow(1, 0, query_width)?, layer.query_norm.as_ref(), angles)?;
        let keys = self.heads(&qkv.narrow(1, query_width, kv_width)?, layer.key_norm.as_ref(), angles)?;
        let values = qkv.narrow(1, query_width + kv_width, kv_width)?.contiguous()?;
        self.cache.write(self.index, &self.step.targets, &keys, &values)?;
        Ok(queries)
    }

    fn place_by_kernel(&self, layer: &Layer, qkv: &Tensor, angles: &Angles) -> Result<Tensor> {
        let (query_width, kv_width, head_dim) =
            (self.config.query_width(), self.config.kv_width(), self.config.head_dim);
        let (cosines, sines) = (numbers(&angles.cosines)?, numbers(&angles.sines)?);
        let pairs = angles.cosines.dim(D::Minus1)?;
        let turn = Some(Turn { cosines: &cosines, sines: &sines, pairs });
        let query_norm = layer.query_norm.as_ref().map(numbers).transpose()?;
        let key_norm = layer.key_norm.as_ref().map(numbers).transpose()?;
        let eps = self.config.norms.eps as f32;
        let slots = &self.step.targets.slots;
        let (keys, values) = self.cache.layer(self.index);
        let norm = key_norm.as_deref().map(|weight| (weight, eps));
        let heads = Heads { column: query_width, width: kv_width, head_dim, norm, turn };
        keys.inplace_op2(qkv, &IntoSlots { heads, slots })?;
        let column = query_width + kv_width;
        let heads = Heads { column, width: kv_width, head_dim, norm: None, turn: None };
        values.inplace_op2(qkv, &IntoSlots { heads, slots })?;
        let norm = query_norm.as_deref().map(|weight| (weight, eps));
        qkv.apply_op1_no_bwd(&Heads { column: 0, width: query_width, head_dim, norm, turn })
    }

    /// `[tokens, heads * head_dim]`, each head normed where the model does, and turned by its token's position.
    fn heads(&self, x: &Tensor, norm: Option<&Tensor>, angles: &Angles) -> Result<Tensor> {
        let ((tokens, width), head_dim) = (x.dims2()?, self.config.head_dim);
        let heads = x.contiguous()?.reshape((1, tokens, width / head_dim, head_dim))?;
        let heads = norm.map_or(Ok(heads.clone()), |norm| rms_norm(&heads, norm, self.config.norms.eps))?;
        let turned = 2 * angles.cosines.dim(D::Minus1)?;
        if turned == head_dim {
            return rope_thd(&heads, &angles.cosines, &angles.sines)?.reshape((tokens, width));
        }
        let first = heads.narrow(3, 0, turned)?.contiguous()?;
        let first = rope_thd(&first, &angles.cosines, &angles.sines)?;
        let rest = heads.narrow(3, turned, head_dim - turned)?;
        Tensor::cat(&[&first, &rest], 3)?.reshape((tokens, width))
    }
}
