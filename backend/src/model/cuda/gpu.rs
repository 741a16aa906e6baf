//! The device: compiles the kernels at run time and queues their calls. With the mapping of weights the one place with unsafe code.

use std::collections::HashMap;
use std::ffi::c_void;

use candle_core::cuda::cudarc::driver::{CudaFunction, CudaStream, DevicePtr, result, sys};
use candle_core::cuda::cudarc::nvrtc::{CompileOptions, Ptx, compile_ptx_with_opts};
use candle_core::cuda::{CudaStorageSlice, WrapErr};
use candle_core::{CudaDevice, CudaStorage, DType, Device, Layout, Result, Storage, Tensor, bail};

use super::launch::{Argument, Launch, Runner};
use super::{Shape, multiply, source};

/// The oldest GPUs that can start a kernel before the one before it has ended (programmatic dependent launch): Hopper.
const OVERLAPPING: (i32, i32) = (9, 0);

/// The oldest GPUs with the matrix instructions that the kernels use, and with bf16: Ampere.
const OLDEST: (i32, i32) = (8, 0);

/// All kernels but those of `multiply`, and `attend_tiles`, which is there where [`Shape::tiles`] says so.
const KERNELS: [&str; 7] =
    ["attend_rows", "merge_parts", "angles", "take_apart", "add_norm", "gate", "choose"];

/// A GPU with the kernels for one model.
#[derive(Debug)]
pub(super) struct Gpu {
    device: CudaDevice,
    functions: HashMap<&'static str, CudaFunction>,
    /// Whether a kernel may start before the one before it has ended.
    overlap: bool,
}

/// A number that a kernel takes, as it lies in memory.
enum Value {
    Address(u64),
    U32(u32),
    F32(f32),
}

impl Value {
    fn pointer(&self) -> *mut c_void {
        match self {
            Self::Address(address) => std::ptr::from_ref(address).cast_mut().cast(),
            Self::U32(number) => std::ptr::from_ref(number).cast_mut().cast(),
            Self::F32(number) => std::ptr::from_ref(number).cast_mut().cast(),
        }
    }
}

impl Gpu {
    /// Compiles the kernels for this device; none where it is too old for them.
    pub(super) fn open(device: &CudaDevice, shape: Shape) -> Result<Option<Self>> {
        let stream = device.cuda_stream();
        let context = stream.context();
        let capability = context.compute_capability().w()?;
        if capability < OLDEST {
            let (major, minor) = capability;
            tracing::warn!(major, minor, "this GPU is too old for Tidegate's kernels: candle's are used");
            return Ok(None);
        }
        let overlap = capability >= OVERLAPPING;
        let module = context.load_module(compile(shape, capability, overlap)?).w()?;
        let tiles = shape.tiles().then_some("attend_tiles");
        let load = |name| Ok((name, module.load_function(name).w()?));
        let functions =
            KERNELS.into_iter().chain(multiply::KERNELS).chain(tiles).map(load).collect::<Result<_>>()?;
        keep_memory(device)?;
        Ok(Some(Self { device: device.clone(), functions, overlap }))
    }
}

fn compile(shape: Shape, (major, minor): (i32, i32), overlap: bool) -> Result<Ptx> {
    let mut options = source::definitions(shape);
    if overlap {
        options.push("-DOVERLAP".into());
    }
    options.push(format!("--gpu-architecture=compute_{major}{minor}"));
    options.push("--std=c++17".into());
    let options = CompileOptions { options, name: Some("tidegate.cu".into()), ..CompileOptions::default() };
    compile_ptx_with_opts(source::KERNELS, options).w()
}

/// A step makes and drops some hundred tensors. Left alone, the driver would give their memory back to the system whenever the
/// host waits for a result, and each tensor would bring two events for streams that there are not.
#[expect(unsafe_code, reason = "the driver's own functions; nothing safe wraps them")]
fn keep_memory(device: &CudaDevice) -> Result<()> {
    let stream = device.cuda_stream();
    if stream.context().has_async_alloc() {
        let mut threshold = u64::MAX;
        // SAFETY: the device is open, its default pool lives as long as it, and the attribute is a u64 that is read
        // during the call.
        unsafe {
            let pool = result::device::get_default_mem_pool(stream.context().cu_device()).w()?;
            let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            let value = std::ptr::from_mut(&mut threshold).cast::<c_void>();
            sys::cuMemPoolSetAttribute(pool, attribute, value).result().w()?;
        }
    }
    // SAFETY: what is made on one thread's stream is used on another's only after the first has been waited for: weights after
    // loading, the cache after it was made. A step stays on its thread.
    unsafe { device.disable_event_tracking() };
    Ok(())
}

impl Runner for Gpu {
    #[expect(unsafe_code, reason = "launching a kernel is unsafe")]
    fn run(&self, launch: &Launch<'_>) -> Result<()> {
        let Some(function) = self.functions.get(launch.kernel) else {
            bail!("there is no kernel {}", launch.kernel)
        };
        let stream = self.device.cuda_stream();
        let values = launch.arguments.iter().map(|argument| value(argument, &stream));
        let values = values.collect::<Result<Vec<_>>>()?;
        let mut arguments: Vec<*mut c_void> = values.iter().map(Value::pointer).collect();
        // Each kernel waits by itself until the one before has ended (`await_previous`).
        let mut attribute = sys::CUlaunchAttribute {
            id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
            pad: Default::default(),
            value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: 1 },
        };
        let [x, y, z] = launch.grid.map(|blocks| blocks as u32);
        let config = sys::CUlaunchConfig {
            gridDimX: x,
            gridDimY: y,
            gridDimZ: z,
            blockDimX: launch.threads as u32,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: 0,
            hStream: stream.cu_stream(),
            attrs: &raw mut attribute,
            numAttrs: u32::from(self.overlap),
        };
        stream.context().bind_to_thread().w()?;
        // SAFETY: number, order and types of the arguments are the kernel's, and every tensor has the elements that it reads and
        // writes: the tests run these very calls against the same source, and check both. Addresses stay good until the
        // kernel has run: memory is freed on the same stream, behind it. What a kernel writes is the caller's own output,
        // or rows of the cache that belong to the sequences of this step. The driver copies configuration, attribute and arguments
        // during the call.
        unsafe {
            let arguments = arguments.as_mut_ptr();
            sys::cuLaunchKernelEx(&raw const config, function.cu_function(), arguments, std::ptr::null_mut())
                .result()
                .w()?;
        }
        Ok(())
    }

    #[expect(unsafe_code, reason = "memory that is not cleared first is unsafe to make")]
    fn empty(&self, shape: candle_core::Shape, dtype: DType) -> Result<Tensor> {
        // SAFETY: numbers of these types have no invalid bits, and the caller's kernel writes all of them before any is read.
        unsafe { Tensor::empty(shape, dtype, &self.device()) }
    }

    fn device(&self) -> Device {
        Device::Cuda(self.device.clone())
    }
}

fn value(argument: &Argument<'_>, stream: &CudaStream) -> Result<Value> {
    Ok(match argument {
        Argument::Tensor(tensor) => {
            let (storage, layout) = tensor.storage_and_layout();
            let Storage::Cuda(storage) = &*storage else { bail!("a tensor is not on the GPU") };
            Value::Address(address(storage, layout, stream)?)
        }
        Argument::Null => Value::Address(0),
        Argument::U32(number) => Value::U32(u32::try_from(*number).map_err(candle_core::Error::wrap)?),
        Argument::F32(number) => Value::F32(*number),
    })
}

/// Where a tensor's first element lies.
fn address(storage: &CudaStorage, layout: &Layout, stream: &CudaStream) -> Result<u64> {
    let Some((begin, _)) = layout.contiguous_offsets() else { bail!("the kernels take contiguous tensors") };
    let (base, size) = match &storage.slice {
        CudaStorageSlice::F32(slice) => (slice.device_ptr(stream).0, 4),
        CudaStorageSlice::F16(slice) => (slice.device_ptr(stream).0, 2),
        CudaStorageSlice::BF16(slice) => (slice.device_ptr(stream).0, 2),
        CudaStorageSlice::U32(slice) => (slice.device_ptr(stream).0, 4),
        CudaStorageSlice::F64(slice) => (slice.device_ptr(stream).0, 8),
        _ => bail!("the kernels take no such numbers"),
    };
    Ok(base + (begin * size) as u64)
}
