//! The next tokens, chosen on the device, so that a vocabulary of logits need not come to the host for each sequence.

use candle_core::{DType, Result, Tensor, bail};

use super::Kernels;
use super::launch::{Launch, arguments};

/// Threads of a block, as the kernel has it.
const CHOOSERS: usize = 1024;

/// How a token is chosen where nothing but a temperature stands between logits and choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Draw {
    /// The likeliest, of equals the lowest.
    Likeliest,
    /// The one at `point`, from 0 to below 1, when all weights are laid end to end.
    At {
        /// One over the temperature.
        inverse_temperature: f32,
        /// Drawn by the sequence's own generator.
        point: f64,
    },
}

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) token: u32,
    /// The largest logit; not finite where the model gave no numbers that can be compared.
    pub(crate) max: f32,
}

impl Kernels {
    /// One token for each row of `logits [rows, vocabulary]`, in f32.
    pub(crate) fn choose(&self, logits: &Tensor, draws: &[Draw]) -> Result<Vec<Chosen>> {
        let (rows, vocabulary) = logits.dims2()?;
        if draws.len() != rows || logits.dtype() != DType::F32 {
            bail!("{} draws for {rows} rows of {:?}", draws.len(), logits.dtype());
        }
        let (inverse, points): (Vec<f32>, Vec<f64>) = draws.iter().map(|draw| draw.numbers()).unzip();
        let device = self.runner.device();
        let (inverse, points) = (Tensor::new(inverse, &device)?, Tensor::new(points, &device)?);
        let chosen = self.runner.empty((rows, 2).into(), DType::U32)?;
        let arguments = arguments![logits, &inverse, &points, &chosen, vocabulary];
        self.runner.run(&Launch { kernel: "choose", grid: [rows, 1, 1], threads: CHOOSERS, arguments })?;
        let chosen = chosen.to_vec2::<u32>()?;
        Ok(chosen.iter().map(|row| Chosen { token: row[0], max: f32::from_bits(row[1]) }).collect())
    }
}

impl Draw {
    fn numbers(self) -> (f32, f64) {
        match self {
            Self::Likeliest => (0.0, 0.0),
            Self::At { inverse_temperature, point } => (inverse_temperature, point),
        }
    }
}
