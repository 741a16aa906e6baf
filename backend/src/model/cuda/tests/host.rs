//! Plays the GPU: builds the kernels with the C++ compiler, and hands them their arguments through a pipe.

use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use candle_core::{DType, Device, Result, Shape as Dims, Tensor, bail};

use crate::model::cuda::launch::{Argument, Launch, Runner};
use crate::model::cuda::{Shape, source};

/// A process that runs kernels, one call after the other.
#[derive(Debug)]
pub(super) struct Host {
    process: Mutex<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Where the program lies as long as it runs.
    _folder: tempfile::TempDir,
    /// Decides about the order in which threads run.
    seed: u64,
}

impl Host {
    pub(super) fn new(shape: Shape, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("kernels");
        let unit = [
            include_str!("host.h"),
            include_str!("tensor_cores.h"),
            source::KERNELS,
            include_str!("main.cpp"),
        ];
        std::fs::write(folder.path().join("kernels.cpp"), unit.concat()).unwrap();
        let mut compiler = Command::new("g++");
        // No contraction: what the kernels ask for step by step is rounded step by step, as on a GPU.
        compiler.args(["-std=c++17", "-O1", "-w", "-fno-strict-aliasing", "-ffp-contract=off"]);
        // The fibers jump from stack to stack, which a fortified longjmp takes for an attack.
        compiler.args(["-U_FORTIFY_SOURCE", "-fsanitize=alignment", "-fsanitize-undefined-trap-on-error"]);
        let status = compiler
            .args(source::definitions(shape))
            .arg("-o")
            .arg(&program)
            .arg(folder.path().join("kernels.cpp"))
            .status();
        assert!(status.expect("g++, which compiles the kernels for the CPU").success());
        let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let output = BufReader::new(output);
        Self { process: Mutex::new(Process { child, input, output, _folder: folder, seed }) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Runner for Host {
    fn run(&self, launch: &Launch<'_>) -> Result<()> {
        let mut process = self.process.lock().unwrap();
        process.seed += 1;
        let mut call = Vec::new();
        call.extend((launch.kernel.len() as u32).to_le_bytes());
        call.extend(launch.kernel.as_bytes());
        call.extend(process.seed.to_le_bytes());
        for number in launch.grid.iter().chain([&launch.threads]) {
            call.extend((*number as u32).to_le_bytes());
        }
        for argument in &launch.arguments {
            put(&mut call, argument)?;
        }
        process.input.write_all(&call)?;
        process.input.flush()?;
        for (tensor, written) in launch.arguments.iter().zip(writes(launch.kernel)) {
            if let (Argument::Tensor(tensor), true) = (tensor, written) {
                let mut bytes = vec![0; tensor.elem_count() * tensor.dtype().size_in_bytes()];
                process.output.read_exact(&mut bytes)?;
                tensor.slice_set(&from_bytes(&bytes, tensor)?, 0, 0)?;
            }
        }
        Ok(())
    }

    /// Full of what is no number, so that it shows when something is read before it was written, or is never written.
    fn empty(&self, shape: Dims, dtype: DType) -> Result<Tensor> {
        match dtype {
            DType::U32 => Tensor::full(u32::MAX, shape, &Device::Cpu),
            dtype => Tensor::full(f32::NAN, shape, &Device::Cpu)?.to_dtype(dtype),
        }
    }

    fn device(&self) -> Device {
        Device::Cpu
    }
}

/// For each argument whether the kernel may write to it: what its declaration leaves without `const`.
fn writes(kernel: &str) -> Vec<bool> {
    // Those for several numbers of tokens are declared once.
    let name = kernel.trim_end_matches(|last: char| last.is_ascii_digit());
    let name = if name.ends_with('_') { format!("{name}##tokens") } else { name.to_owned() };
    let begin = source::KERNELS.find(&format!(" {name}(")).unwrap();
    let declaration = &source::KERNELS[begin..];
    let arguments = &declaration[declaration.find('(').unwrap() + 1..declaration.find(')').unwrap()];
    arguments.split(',').map(|argument| argument.contains('*') && !argument.contains("const")).collect()
}

fn put(call: &mut Vec<u8>, argument: &Argument<'_>) -> Result<()> {
    match argument {
        Argument::Tensor(tensor) => {
            let (bytes, offset) = (to_bytes(tensor)?, tensor.layout().start_offset());
            call.extend((bytes.len() as u64).to_le_bytes());
            call.extend(((offset * tensor.dtype().size_in_bytes()) as u64).to_le_bytes());
            call.extend(bytes);
        }
        Argument::Null => call.extend([u64::MAX.to_le_bytes(), [0; 8]].concat()),
        Argument::U32(number) => call.extend((*number as u32).to_le_bytes()),
        Argument::F32(number) => call.extend(number.to_le_bytes()),
    }
    Ok(())
}

fn to_bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    if !tensor.is_contiguous() {
        bail!("the kernels take contiguous tensors");
    }
    // As a file of weights would have them.
    Ok(safetensors::View::data(&tensor).into_owned())
}

fn from_bytes(bytes: &[u8], like: &Tensor) -> Result<Tensor> {
    Tensor::from_raw_buffer(bytes, like.dtype(), like.dims(), &Device::Cpu)
}
