//! Taking weights from a model's files one after the other: shape checked, brought to the device, quantised, counted.

use std::collections::BTreeMap;

use candle_core::Tensor;
use tokio_util::sync::CancellationToken;

use super::error::LoadError;
use super::linear::{Linear, Weight};
use super::quantize::{Quantization, Role, type_name};
use super::weights::{Placement, Weights};

/// Takes weights by name, and counts them.
pub(crate) struct Intake<'a> {
    weights: &'a Weights,
    pub(crate) to: Placement<'a>,
    /// What matrices are kept as; `None`: as they are in the file.
    quantization: Option<Quantization>,
    /// Once it is cancelled, no further weight is taken.
    stop: CancellationToken,
    parameters: u64,
    /// Elements in each type that is quantised.
    quantized: BTreeMap<String, u64>,
}

/// Layers with the same input that are computed as one: the names that a file has for them, and their outputs.
pub(crate) type Parts<'a> = &'a [(&'a str, usize)];

impl<'a> Intake<'a> {
    pub(crate) fn new(weights: &'a Weights, to: Placement<'a>, quantization: Option<Quantization>) -> Self {
        let stop = CancellationToken::new();
        Self { weights, to, quantization, stop, parameters: 0, quantized: BTreeMap::new() }
    }

    /// Takes no further weight once `stop` is cancelled.
    pub(crate) fn until(self, stop: &CancellationToken) -> Self {
        Self { stop: stop.clone(), ..self }
    }

    fn go_on(&self) -> Result<(), LoadError> {
        if self.stop.is_cancelled() { Err(LoadError::Stopped) } else { Ok(()) }
    }

    /// Elements of all tensors taken so far.
    pub(crate) fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The types that weights are quantised in, the one of the most first: `q4_k+q6_k`.
    pub(crate) fn quantization(&self) -> Option<String> {
        let mut kinds: Vec<_> = self.quantized.iter().collect();
        kinds.sort_by_key(|(_, elements)| std::cmp::Reverse(**elements));
        let names: Vec<&str> = kinds.into_iter().map(|(name, _)| name.as_str()).collect();
        (!names.is_empty()).then(|| names.join("+"))
    }

    /// Layers with the same input as one.
    pub(crate) fn linear(
        &mut self,
        prefix: &str,
        parts: Parts<'_>,
        inputs: usize,
        bias: bool,
    ) -> Result<Linear, LoadError> {
        let weights = parts
            .iter()
            .map(|(name, outputs)| (format!("{prefix}.{name}.weight"), [*outputs, inputs]))
            .map(|(name, shape)| self.matrix(&name, shape, Role::Layer));
        let weights = weights.collect::<Result<Vec<_>, _>>()?;
        let biases = parts
            .iter()
            .filter(|_| bias)
            .map(|(name, outputs)| self.vector(&format!("{prefix}.{name}.bias"), *outputs));
        let biases = biases.collect::<Result<Vec<_>, _>>()?;
        join(prefix, weights, (!biases.is_empty()).then_some(biases))
    }

    /// A matrix `[outputs, inputs]`.
    pub(crate) fn matrix(&mut self, name: &str, shape: [usize; 2], role: Role) -> Result<Weight, LoadError> {
        self.go_on()?;
        let mut weight = self.weights.matrix(name, shape, self.to)?;
        if let Some(quantization) = self.quantization {
            let kept = quantization.apply(weight, role, self.to.dtype);
            weight = kept.map_err(|source| LoadError::Compute { what: name.to_owned(), source })?;
        }
        let elements = (shape[0] * shape[1]) as u64;
        self.parameters += elements;
        if let Some(kind) = weight.quantized_type() {
            *self.quantized.entry(type_name(kind)).or_default() += elements;
        }
        Ok(weight)
    }

    /// A norm or a bias.
    pub(crate) fn vector(&mut self, name: &str, width: usize) -> Result<Tensor, LoadError> {
        self.go_on()?;
        self.parameters += width as u64;
        self.weights.numbers(name, &[width], self.to)
    }

    /// A matrix that is only looked up, and never quantised.
    pub(crate) fn table(&mut self, name: &str, shape: [usize; 2]) -> Result<Tensor, LoadError> {
        self.go_on()?;
        self.parameters += (shape[0] * shape[1]) as u64;
        self.weights.numbers(name, &shape, self.to)
    }
}

/// Several linear layers with the same input as one: their weights one below the other.
pub(crate) fn join(
    what: &str,
    weights: Vec<Weight>,
    biases: Option<Vec<Tensor>>,
) -> Result<Linear, LoadError> {
    let joined = || {
        let bias = biases.map(|biases| Tensor::cat(&biases, 0)).transpose()?;
        Linear::joined(weights, bias)
    };
    joined().map_err(|source| LoadError::Compute { what: format!("joining {what}"), source })
}

/// A matrix in the order that its device's kernels read best.
pub(crate) fn lay_out(what: &str, weight: Weight) -> Result<Weight, LoadError> {
    weight.laid_out().map_err(|source| LoadError::Compute { what: what.to_owned(), source })
}
