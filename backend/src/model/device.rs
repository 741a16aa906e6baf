//! Where a model runs, and in which type.

use std::str::FromStr;

use candle_core::{DType, Device};

use super::error::LoadError;

/// Where the model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU that this build can use, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
    /// The Metal device.
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            None if text == "metal" => Ok(Self::Metal),
            Some(("cuda", number)) => {
                number.parse().map(Self::Cuda).map_err(|_| format!("{number} is no CUDA device number"))
            }
            _ => Err(format!("{text} is no device: cpu, cuda:N, metal or auto")),
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device, and says which it is.
    pub(crate) fn open(self) -> Result<(Device, Self), LoadError> {
        let chosen = match self {
            Self::Auto if candle_core::utils::cuda_is_available() => Self::Cuda(0),
            Self::Auto if candle_core::utils::metal_is_available() => Self::Metal,
            Self::Auto => Self::Cpu,
            named => named,
        };
        let device = match chosen {
            Self::Cuda(number) => Device::new_cuda(number),
            Self::Metal => Device::new_metal(0),
            Self::Cpu | Self::Auto => Ok(Device::Cpu),
        };
        match device {
            Ok(device) => Ok((device, chosen)),
            Err(error) => Err(LoadError::Device { device: chosen.to_string(), problem: error.to_string() }),
        }
    }
}

/// Waits for what this thread has given the device to do. Each thread has a queue of its own there, and another one's work
/// may begin before ours is done: to be called before a model goes to the thread that runs it.
pub(crate) fn settle(device: &Device) -> Result<(), LoadError> {
    let settled = device.synchronize();
    settled.map_err(|source| LoadError::Compute { what: "the weights on their way".into(), source })
}

/// The type that weights and cache are kept in: f32 on a CPU, where 16 bits are slower, else bf16.
pub(crate) fn dtype_for(device: &Device, asked: Option<DType>) -> Result<DType, LoadError> {
    let default = if device.is_cpu() { DType::F32 } else { DType::BF16 };
    match asked.unwrap_or(default) {
        dtype @ (DType::F32 | DType::F16 | DType::BF16) => Ok(dtype),
        other => Err(LoadError::Unsupported {
            file: "--dtype".into(),
            setting: "the type of weights".into(),
            found: other.as_str().into(),
            supported: "supported: f32, f16, bf16".into(),
        }),
    }
}
