//! Attention over the cache's blocks, where they lie.

use candle_core::{DType, Result, Tensor};

use super::launch::{Argument, Launch, arguments};
use super::plan::{Plan, Rows};
use super::rows::Pools;
use super::{Kernels, THREADS};
use crate::model::attention::Geometry;

/// Positions of a part, as the kernel has it.
pub(super) const PART: usize = 256;
/// The most query heads that a thread block takes, as the kernel has it.
const TOGETHER: usize = 8;
/// Memory for parts that are still to be merged; above, each thread block goes over all parts of its row.
pub(super) const PARTS_BYTES: usize = 64 << 20;

impl Kernels {
    /// `queries [tokens, heads * head_dim]` over a layer's pools; gives the same shape.
    pub(crate) fn attend(
        &self,
        plan: &Plan,
        geometry: Geometry,
        queries: &Tensor,
        pools: Pools<'_>,
    ) -> Result<Tensor> {
        let out = self.runner.empty(queries.shape().clone(), queries.dtype())?;
        let attention = Attention { kernels: self, plan, geometry, queries, pools, out: &out };
        if let Some(tiles) = &plan.tiles {
            attention.tiles(tiles)?;
        }
        if let Some(rows) = &plan.rows {
            attention.rows(rows)?;
        }
        Ok(out)
    }
}

struct Attention<'a> {
    kernels: &'a Kernels,
    plan: &'a Plan,
    geometry: Geometry,
    queries: &'a Tensor,
    pools: Pools<'a>,
    out: &'a Tensor,
}

impl Attention<'_> {
    fn tiles(&self, tiles: &Tensor) -> Result<()> {
        let arguments = arguments![
            self.queries,
            self.pools.keys,
            self.pools.values,
            self.out,
            &self.plan.tables,
            tiles,
            self.geometry.kv_heads,
            self.window(),
            self.geometry.scale,
            self.cap(),
        ];
        let grid = [tiles.dim(0)?, self.geometry.heads, 1];
        self.kernels.runner.run(&Launch { kernel: "attend_tiles", grid, threads: THREADS, arguments })
    }

    fn rows(&self, rows: &Rows) -> Result<()> {
        let Geometry { heads, kv_heads, head_dim, .. } = self.geometry;
        let parts = rows.sees.iter().map(|visible| self.parts(*visible as usize)).max().unwrap_or(1);
        let slots = rows.sees.len() * heads * parts;
        let apart = parts > 1 && slots * (head_dim + 2) * size_of::<f32>() <= self.kernels.parts_bytes;
        let (stretches, parts_each) = if apart { (parts, 1) } else { (1, parts) };
        let room = |width: usize| self.kernels.runner.empty((slots, width).into(), DType::F32);
        let partial = apart.then(|| Ok::<_, candle_core::Error>((room(head_dim)?, room(2)?))).transpose()?;
        let mut arguments = arguments![self.queries, self.pools.keys, self.pools.values, self.out];
        arguments.extend(arguments![&self.plan.tables, &rows.token, &rows.table, &rows.visible]);
        let (mixed, sums) = match &partial {
            Some((mixed, sums)) => (Argument::Tensor(mixed), Argument::Tensor(sums)),
            None => (Argument::Null, Argument::Null),
        };
        arguments.extend([mixed, sums]);
        arguments.extend(arguments![kv_heads, self.window(), parts, parts_each]);
        arguments.extend(arguments![self.geometry.scale, self.cap()]);
        let grid = [rows.sees.len(), kv_heads * self.passes(), stretches];
        self.kernels.runner.run(&Launch { kernel: "attend_rows", grid, threads: THREADS, arguments })?;
        let Some((mixed, sums)) = &partial else { return Ok(()) };
        let arguments = arguments![self.out, &rows.token, &rows.visible, mixed, sums, self.window(), parts];
        let grid = [rows.sees.len(), heads, 1];
        self.kernels.runner.run(&Launch { kernel: "merge_parts", grid, threads: THREADS, arguments })
    }

    /// Thread blocks for the query heads of one key head.
    fn passes(&self) -> usize {
        let group = self.geometry.heads / self.geometry.kv_heads;
        (1..=group)
            .find(|passes| group.is_multiple_of(*passes) && group / passes <= TOGETHER)
            .unwrap_or(group)
    }

    /// Parts that hold something of what such a token sees.
    fn parts(&self, visible: usize) -> usize {
        visible.div_ceil(PART) - self.geometry.first_visible(visible) / PART
    }

    fn window(&self) -> usize {
        self.geometry.window.map_or(u32::MAX as usize, |window| window.min(u32::MAX as usize))
    }

    /// 0 for none.
    fn cap(&self) -> f32 {
        self.geometry.softcap.unwrap_or(0.0)
    }
}
