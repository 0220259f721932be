//! Fibres in a device's memory, and how they are moved: bounded dispatches, lists of fibres that have more to do, events and
//! samples read back while the next dispatch runs.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytemuck::{Pod, Zeroable};
use wgpu::BufferUsages as Usage;

use crate::backend::Spike;
use crate::ops::Lane;
use crate::protocol::ms;

use super::device::{Device, DeviceKind, GpuError};
use super::features;
use super::image::{Image, Members};
use super::kernel::{Gpu, of_ticks};
use super::wgsl::WORKGROUP;

/// What a dispatch is to take, ms: long enough that starting it costs nothing, short enough that no system resets the device.
const DISPATCH_MS: (f64, f64) = (50.0, 100.0);
/// Fewest and most iterations of a dispatch.
const ITERATIONS: (u32, u32) = (4, 3000);
/// Some drivers stop an invocation silently at 65,535 rounds of all its loops together, counting those of up to 16 fibres that
/// run in lockstep: their inner loops one after the other, and the outer one.
const ROUNDS_OF_ONE: u32 = 65_535 / 17;
/// Iterations of the first dispatch, before anything is measured.
const FIRST_ITERATIONS: u32 = 16;
/// Memory for events, bytes.
const EVENT_BYTES: u64 = 64 << 20;
/// Events that a fibre may find in a dispatch, at least, beyond those of one iteration.
const LEAST_EVENTS: usize = 4;

/// The kernel's uniform; its fields are explained there.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
struct Frame {
    stride: u32,
    first: u32,
    count: u32,
    source: u32,
    budget: u32,
    event_quota: u32,
    first_row: u32,
    end_row: u32,
    n_traces: u32,
    to_end: u32,
    n_segments: u32,
    rows_at: u32,
    levels_at: u32,
    drives_at: u32,
    zero: u32,
    spare: u32,
}

/// Samples on their way back.
#[derive(Debug)]
struct Staged {
    rows: (usize, usize),
    n_values: usize,
    answer: Arc<Mutex<Option<Result<(), wgpu::BufferAsyncError>>>>,
    submission: wgpu::SubmissionIndex,
    bytes: u64,
}

/// Samples of a slab: `[variable][row][trace]`.
#[derive(Clone, Debug)]
pub struct SlabSamples<T> {
    /// First row.
    pub first_row: usize,
    /// One past the last row.
    pub end_row: usize,
    /// The numbers; NaN where a fibre was lost before.
    pub values: Vec<T>,
}

/// How far one call moved the fibres.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Spikes, unordered.
    pub spikes: Vec<Spike>,
    /// Whether all rows are filled.
    pub whole: bool,
}

/// Fibres in a device's memory.
#[derive(Debug)]
pub struct Population<'g, T> {
    gpu: &'g Gpu<T>,
    first: u64,
    n_fibres: usize,
    n_traces: usize,
    frame: Frame,
    reals: wgpu::Buffer,
    words: wgpu::Buffer,
    given: wgpu::Buffer,
    samples: wgpu::Buffer,
    staging: wgpu::Buffer,
    events: wgpu::Buffer,
    event_staging: wgpu::Buffer,
    event_capacity: usize,
    queue: wgpu::Buffer,
    status: wgpu::Buffer,
    uniform: wgpu::Buffer,
    fill_uniform: wgpu::Buffer,
    group: wgpu::BindGroup,
    fill_group: wgpu::BindGroup,
    staged: Option<Staged>,
    budget: u32,
    /// Dispatches so far, and the longest of them, ms.
    pub dispatches: (u64, f64),
}

impl<T: Lane> Gpu<T> {
    /// Puts fibres into the device's memory, at the start of the schedule.
    ///
    /// # Errors
    /// If the memory does not suffice or the device fails.
    pub fn populate(&self, members: &Members<'_>) -> Result<Population<'_, T>, GpuError> {
        let device = &self.device;
        let n = members.parameters.len();
        let real = size_of::<T>() as u64;
        let (n64, places) = (n as u64, self.places);
        let storage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
        let n_parameters = self.plan.experiment.varied.len();
        let n_given = n_parameters * n + self.tables.drives.len();
        let sample_bytes =
            (self.plan.n_recorded * members.rows_per_slab * members.n_traces) as u64 * real;
        let per_iteration = self.events_per_iteration();
        let event_capacity = if per_iteration == 0 {
            1
        } else {
            (n * (per_iteration + LEAST_EVENTS))
                .max((EVENT_BYTES / 16).min(64 * n64 * per_iteration as u64) as usize)
        };
        let reals = device.buffer(
            "the fibres' states",
            places.n_reals as u64 * n64 * real,
            storage,
        )?;
        let words = device.buffer(
            "the fibres' clocks",
            places.n_words as u64 * n64 * 4,
            storage,
        )?;
        let given = device.buffer("the parameters", n_given as u64 * real, storage)?;
        let samples = device.buffer("the samples", sample_bytes, storage)?;
        let staging = device.buffer(
            "the samples read back",
            sample_bytes,
            Usage::MAP_READ | Usage::COPY_DST,
        )?;
        let events = device.buffer("the events", event_capacity as u64 * 16, storage)?;
        let event_staging = device.buffer(
            "the events read back",
            event_capacity as u64 * 16,
            Usage::MAP_READ | Usage::COPY_DST,
        )?;
        let queue = device.buffer("the lists of fibres", (4 + 2 * n64) * 4, storage)?;
        let status = device.buffer(
            "the state of the lists",
            16,
            Usage::MAP_READ | Usage::COPY_DST,
        )?;
        let tables = device.buffer("the schedule", self.tables.words.len() as u64 * 8, storage)?;
        let uniform = device.buffer(
            "the frame",
            size_of::<Frame>() as u64,
            Usage::UNIFORM | Usage::COPY_DST,
        )?;
        let fill_uniform =
            device.buffer("the filler's frame", 16, Usage::UNIFORM | Usage::COPY_DST)?;
        let group = bind(
            device,
            &self.pipeline,
            &[
                &uniform, &tables, &given, &reals, &words, &samples, &events, &queue,
            ],
        )?;
        let fill_group = bind(device, &self.fill, &[&fill_uniform, &samples])?;
        device
            .queue
            .write_buffer(&tables, 0, bytemuck::cast_slice(&self.tables.words));
        let mut population = Population {
            gpu: self,
            first: members.first,
            n_fibres: n,
            n_traces: members.n_traces,
            frame: Frame {
                stride: n as u32,
                n_segments: self.tables.n_segments,
                rows_at: self.tables.rows_at,
                levels_at: self.tables.levels_at,
                drives_at: (n_parameters * n) as u32,
                ..Frame::default()
            },
            reals,
            words,
            given,
            samples,
            staging,
            events,
            event_staging,
            event_capacity,
            queue,
            status,
            uniform,
            fill_uniform,
            group,
            fill_group,
            staged: None,
            budget: FIRST_ITERATIONS,
            dispatches: (0, 0.0),
        };
        population.give(members);
        population.upload(&self.start(members));
        device.check()?;
        Ok(population)
    }
}

impl<T: Lane> Population<'_, T> {
    /// Writes the varied parameters and the levels of the protocol.
    fn give(&self, members: &Members<'_>) {
        let n = self.n_fibres;
        let n_parameters = self.gpu.plan.experiment.varied.len();
        let mut given = vec![T::of(0.0); n_parameters * n];
        for (fibre, parameters) in members.parameters.iter().enumerate() {
            for (p, &x) in parameters.iter().enumerate() {
                given[p * n + fibre] = T::of(x);
            }
        }
        given.extend_from_slice(&self.gpu.tables.drives);
        self.write(&self.given, bytemuck::cast_slice(&given));
    }

    fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) {
        // In parts: what is written waits in the machine's memory until it is handed over.
        const PART: usize = 64 << 20;
        for (k, part) in bytes.chunks(PART).enumerate() {
            self.gpu
                .device
                .queue
                .write_buffer(buffer, (k * PART) as u64, part);
        }
    }

    /// Puts an image of as many fibres into the device's memory.
    pub fn upload(&mut self, image: &Image<T>) {
        self.write(&self.reals, bytemuck::cast_slice(&image.reals));
        self.write(&self.words, bytemuck::cast_slice(&image.words));
    }

    /// Exchanges the fibres for others, as many or fewer, that stand as the image says.
    pub fn exchange(&mut self, members: &Members<'_>, image: &Image<T>) {
        self.n_fibres = members.parameters.len();
        self.first = members.first;
        self.n_traces = members.n_traces;
        self.frame.stride = self.n_fibres as u32;
        let n_parameters = self.gpu.plan.experiment.varied.len();
        self.frame.drives_at = (n_parameters * self.n_fibres) as u32;
        self.give(members);
        self.upload(image);
    }

    /// Everything that changes while the fibres move.
    ///
    /// # Errors
    /// If the device fails.
    pub fn download(&self) -> Result<Image<T>, GpuError> {
        let (n, places) = (self.n_fibres, self.gpu.places);
        let mut reals = vec![T::of(0.0); places.n_reals * n];
        let mut words = vec![0u32; places.n_words * n];
        self.read(&self.reals, bytemuck::cast_slice_mut(&mut reals))?;
        self.read(&self.words, bytemuck::cast_slice_mut(&mut words))?;
        Ok(Image { reals, words })
    }

    fn read(&self, buffer: &wgpu::Buffer, into: &mut [u8]) -> Result<(), GpuError> {
        const PART: usize = 64 << 20;
        let device = &self.gpu.device;
        for (k, part) in into.chunks_mut(PART).enumerate() {
            let bytes = part.len() as u64;
            let copy = device.buffer(
                "a part read back",
                bytes.next_multiple_of(8),
                Usage::MAP_READ | Usage::COPY_DST,
            )?;
            let mut encoder = device.inner.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(buffer, (k * PART) as u64, &copy, 0, bytes);
            device.queue.submit([encoder.finish()]);
            device.mapped(&copy, bytes, |view| {
                let n = part.len();
                part.copy_from_slice(&view[..n]);
            })?;
        }
        Ok(())
    }

    /// Moves all fibres until their rows of the slab are filled, or to the end of the schedule. The samples are on their way back
    /// afterwards: the next call, or [`Population::samples`], hands them to `take`. Returns the spikes, unordered.
    ///
    /// # Errors
    /// If the device fails.
    pub fn advance(
        &mut self,
        rows: (usize, usize),
        to_end: bool,
        cancelled: &dyn Fn() -> bool,
        take: &mut dyn FnMut(SlabSamples<T>),
    ) -> Result<Vec<Spike>, GpuError> {
        self.clear(rows);
        Ok(self.go_on(rows, to_end, cancelled, take)?.spikes)
    }

    /// Forgets what was sampled, before rows are filled for the first time.
    pub fn clear(&mut self, rows: (usize, usize)) {
        self.fill(self.n_samples(rows));
    }

    /// What has been sampled of rows that are not filled yet.
    ///
    /// # Errors
    /// If the device fails.
    pub fn unfinished(&self, rows: (usize, usize)) -> Result<Vec<T>, GpuError> {
        let mut values = vec![T::of(0.0); self.n_samples(rows)];
        self.read(&self.samples, bytemuck::cast_slice_mut(&mut values))?;
        Ok(values)
    }

    /// Puts that back.
    pub fn put_unfinished(&self, values: &[T]) {
        self.write(&self.samples, bytemuck::cast_slice(values));
    }

    fn n_samples(&self, rows: (usize, usize)) -> usize {
        self.gpu.plan.n_recorded * (rows.1 - rows.0) * self.n_traces
    }

    /// As [`Population::advance`], from where the last call stopped: `stop` may say after each dispatch that the fibres are to be put aside. Samples
    /// are on their way back only when all rows are filled.
    ///
    /// # Errors
    /// If the device fails.
    pub fn go_on(
        &mut self,
        rows: (usize, usize),
        to_end: bool,
        stop: &dyn Fn() -> bool,
        take: &mut dyn FnMut(SlabSamples<T>),
    ) -> Result<Moved, GpuError> {
        let mut spikes = Vec::new();
        self.frame.first_row = rows.0 as u32;
        self.frame.end_row = rows.1 as u32;
        self.frame.n_traces = self.n_traces as u32;
        self.frame.to_end = u32::from(to_end);
        let n_samples = self.n_samples(rows);
        let mut source = 0;
        let mut count = self.n_fibres;
        let mut found = 0usize;
        // The staged samples lie in their own buffer; they are read while the first dispatch runs.
        let mut staged = self.staged.take();
        while count > 0 && !stop() {
            let per_iteration = self.gpu.events_per_iteration();
            let quota = ((self.event_capacity - found) / count)
                .saturating_sub(per_iteration)
                .max(1);
            let started = Instant::now();
            let submission = self.dispatch(source, count, quota as u32);
            if let Some(staged) = staged.take() {
                take(self.read_staged(staged)?);
            }
            let answer = self.answer(submission)?;
            let took_ms = started.elapsed().as_secs_f64() * 1e3;
            self.dispatches.0 += 1;
            self.dispatches.1 = self.dispatches.1.max(took_ms);
            let other = usize::from(source == 1);
            let left = answer[other] as usize;
            found = answer[2] as usize;
            if count * 2 >= self.n_fibres {
                self.adapt(took_ms, left > 0);
            }
            source = other as u32 + 1;
            count = left;
            let needs = count.max(1) * (per_iteration + LEAST_EVENTS);
            if found > 0 && (count == 0 || found + needs > self.event_capacity) {
                self.take_events(found, &mut spikes)?;
                found = 0;
            }
        }
        if found > 0 {
            self.take_events(found, &mut spikes)?;
        }
        if let Some(staged) = staged {
            take(self.read_staged(staged)?);
        }
        let whole = count == 0;
        if whole && n_samples > 0 {
            self.stage(rows, n_samples);
        }
        Ok(Moved { spikes, whole })
    }

    /// The samples of the last call, if they were not handed out yet.
    ///
    /// # Errors
    /// If the device fails.
    pub fn samples(&mut self) -> Result<Option<SlabSamples<T>>, GpuError> {
        match self.staged.take() {
            Some(staged) => self.read_staged(staged).map(Some),
            None => Ok(None),
        }
    }

    /// Rounds that a dispatch may take, with room for what one iteration's features take beyond.
    fn most_iterations(&self) -> u32 {
        let beyond = features::MOST_WORK * self.gpu.plan.features.len() as u32;
        ROUNDS_OF_ONE
            .saturating_sub(beyond)
            .clamp(ITERATIONS.0, ITERATIONS.1)
    }

    /// Holds dispatches between 50 and 100 ms.
    fn adapt(&mut self, took_ms: f64, all_used: bool) {
        // Software runs on the processor: no system resets it, and starting a dispatch costs more.
        let software = self.gpu.device.adapter.kind == DeviceKind::Software;
        let stretch = if software { 4.0 } else { 1.0 };
        let (low, high) = (DISPATCH_MS.0 * stretch, DISPATCH_MS.1 * stretch);
        let middle = 0.5 * (low + high);
        if took_ms > high || (took_ms < low && all_used) {
            let factor = (middle / took_ms.max(1e-3)).clamp(0.1, 4.0);
            let budget = (f64::from(self.budget) * factor) as u32;
            self.budget = budget.clamp(ITERATIONS.0, self.most_iterations());
        }
    }

    /// Fills the places of the samples with NaN.
    fn fill(&self, n_samples: usize) {
        if n_samples == 0 {
            return;
        }
        const GROUPS: u32 = 1024;
        let device = &self.gpu.device;
        let n_words = (n_samples * size_of::<T>() / 4) as u32;
        let nan = T::of(f64::NAN);
        let bits: &[u32] = bytemuck::cast_slice(std::slice::from_ref(&nan));
        let (even, odd) = (bits[0], bits[bits.len() - 1]);
        let what = [n_words, GROUPS * 64, even, odd];
        device
            .queue
            .write_buffer(&self.fill_uniform, 0, bytemuck::cast_slice(&what));
        let mut encoder = device.inner.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&self.gpu.fill);
            pass.set_bind_group(0, &self.fill_group, &[]);
            pass.dispatch_workgroups(GROUPS, 1, 1);
        }
        device.queue.submit([encoder.finish()]);
    }

    /// Starts a dispatch over all fibres (`source` 0) or over those of a list.
    fn dispatch(&self, source: u32, count: usize, quota: u32) -> wgpu::SubmissionIndex {
        let device = &self.gpu.device;
        let frame = Frame {
            source,
            count: count as u32,
            budget: self.budget,
            event_quota: quota,
            ..self.frame
        };
        device
            .queue
            .write_buffer(&self.uniform, 0, bytemuck::bytes_of(&frame));
        // The list that this dispatch writes begins empty; with the first of a slab the events do as well.
        let other = u64::from(source == 1);
        device
            .queue
            .write_buffer(&self.queue, 4 * other, bytemuck::bytes_of(&0u32));
        if source == 0 {
            device
                .queue
                .write_buffer(&self.queue, 8, bytemuck::bytes_of(&0u32));
        }
        let mut encoder = device.inner.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&self.gpu.pipeline);
            pass.set_bind_group(0, &self.group, &[]);
            pass.dispatch_workgroups((count as u32).div_ceil(WORKGROUP), 1, 1);
        }
        encoder.copy_buffer_to_buffer(&self.queue, 0, &self.status, 0, 16);
        device.queue.submit([encoder.finish()])
    }

    /// Waits for a dispatch and gives the lengths of the lists and the number of events.
    fn answer(&self, submission: wgpu::SubmissionIndex) -> Result<[u32; 4], GpuError> {
        let device = &self.gpu.device;
        device.wait_for(Some(submission))?;
        let mut answer = [0u32; 4];
        device.mapped(&self.status, 16, |view| {
            bytemuck::bytes_of_mut(&mut answer).copy_from_slice(&view[..16]);
        })?;
        Ok(answer)
    }

    fn take_events(&self, found: usize, spikes: &mut Vec<Spike>) -> Result<(), GpuError> {
        let device = &self.gpu.device;
        let found = found.min(self.event_capacity);
        let bytes = found as u64 * 16;
        let mut encoder = device.inner.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&self.events, 0, &self.event_staging, 0, bytes);
        device.queue.submit([encoder.finish()]);
        device
            .queue
            .write_buffer(&self.queue, 8, bytemuck::bytes_of(&0u32));
        device.mapped(&self.event_staging, bytes, |view| {
            let events: &[[u32; 4]] = bytemuck::cast_slice(&view[..bytes as usize]);
            spikes.extend(events.iter().map(|e| Spike {
                time_ms: ms(of_ticks(e[2], e[3])),
                fibre: self.first + u64::from(e[0]),
                feature: e[1] as usize,
            }));
        })
    }

    /// Sends the samples on their way back.
    fn stage(&mut self, rows: (usize, usize), n_samples: usize) {
        let device = &self.gpu.device;
        let bytes = ((n_samples * size_of::<T>()) as u64).next_multiple_of(8);
        let mut encoder = device.inner.create_command_encoder(&Default::default());
        let whole = bytes.min(self.samples.size());
        encoder.copy_buffer_to_buffer(&self.samples, 0, &self.staging, 0, whole);
        let submission = device.queue.submit([encoder.finish()]);
        let answer = Arc::new(Mutex::new(None));
        let told = Arc::clone(&answer);
        self.staging
            .map_async(wgpu::MapMode::Read, ..whole, move |result| {
                *told.lock().unwrap_or_else(|e| e.into_inner()) = Some(result);
            });
        self.staged = Some(Staged {
            rows,
            n_values: n_samples,
            answer,
            submission,
            bytes: whole,
        });
    }

    fn read_staged(&self, staged: Staged) -> Result<SlabSamples<T>, GpuError> {
        let device = &self.gpu.device;
        let lost = |why: String| GpuError::Lost {
            device: device.adapter.name.clone(),
            why,
        };
        device.wait_for(Some(staged.submission))?;
        let answer = staged
            .answer
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .take();
        if !matches!(answer, Some(Ok(()))) {
            device.check()?;
            return Err(lost("samples could not be read back".to_string()));
        }
        let n = staged.n_values;
        let values = {
            let view = self
                .staging
                .get_mapped_range(..staged.bytes)
                .map_err(|e| lost(e.to_string()))?;
            bytemuck::cast_slice(&view[..n * size_of::<T>()]).to_vec()
        };
        self.staging.unmap();
        Ok(SlabSamples {
            first_row: staged.rows.0,
            end_row: staged.rows.1,
            values,
        })
    }
}

fn bind(
    device: &Device,
    pipeline: &wgpu::ComputePipeline,
    buffers: &[&wgpu::Buffer],
) -> Result<wgpu::BindGroup, GpuError> {
    let entries: Vec<wgpu::BindGroupEntry<'_>> = buffers
        .iter()
        .enumerate()
        .map(|(k, b)| wgpu::BindGroupEntry {
            binding: k as u32,
            resource: b.as_entire_binding(),
        })
        .collect();
    device.scoped("the kernel's buffers", || {
        device.inner.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("the kernel's buffers"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The uniform's fields are those of the kernel's struct, in its order.
    #[test]
    fn the_frame_is_laid_out_as_the_kernel_reads_it() {
        let kernel = include_str!("../../../shaders/kernel.wgsl");
        let (_, body) = kernel.split_once("struct Frame {").expect("it is there");
        let (body, _) = body.split_once('}').expect("it ends");
        let theirs: Vec<&str> = body
            .lines()
            .filter_map(|l| l.trim().strip_suffix(": u32,"))
            .collect();
        let ours = format!("{:?}", Frame::default());
        let (_, ours) = ours.split_once('{').expect("fields follow");
        let ours: Vec<&str> = ours
            .split(',')
            .filter_map(|f| f.split_once(':').map(|(name, _)| name.trim()))
            .collect();
        assert_eq!(ours, theirs);
        assert_eq!(size_of::<Frame>(), 4 * theirs.len());
    }
}
