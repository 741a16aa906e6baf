//! Cutting work into pieces for the threads of the [`team`](super::team): ranges of items, pieces of a slice, strips of a matrix.

#![expect(
    unsafe_code,
    reason = "threads write disjoint parts of one result, which no safe splitting of columns expresses"
)]

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::team::Team;

/// Pieces of work for each thread: few, so that nobody looks for the next too often; not so few that one waits long for another.
const RANGES: usize = 8;

/// Calls `task` for ranges that together are `0..items`, each item once, on all threads where `parallel`.
pub(super) fn share(items: usize, parallel: bool, task: impl Fn(Range<usize>) + Sync) {
    if items == 0 {
        return;
    }
    let team = Team::of_process();
    if !parallel || team.threads() == 1 {
        return task(0..items);
    }
    let length = items.div_ceil(RANGES * team.threads());
    let next = AtomicUsize::new(0);
    team.run(&|| {
        loop {
            let start = next.fetch_add(length, Ordering::Relaxed);
            if start >= items {
                break;
            }
            task(start..items.min(start + length));
        }
    });
}

/// Calls `task` for every piece of `width` elements of `out`, of which the last may be shorter, with the piece's number.
pub(super) fn share_pieces<T: Send>(
    out: &mut [T],
    width: usize,
    parallel: bool,
    task: impl Fn(usize, &mut [T]) + Sync,
) {
    let length = out.len();
    let row = Matrix::new(out, length);
    share(length.div_ceil(width.max(1)), parallel, |pieces| {
        for piece in pieces {
            let (start, end) = (piece * width, (piece * width + width).min(length));
            // SAFETY: `share` gives each piece to one call, so that nobody else writes it.
            task(piece, unsafe { row.at(0, start, end - start) });
        }
    });
}

/// Calls `task` for strips of the matrix `out [rows, width]`: `step` columns wide each, or some such side by side.
pub(super) fn share_columns(
    out: &mut [f32],
    width: usize,
    step: usize,
    parallel: bool,
    task: impl Fn(Range<usize>, &Strip<'_>) + Sync,
) {
    let matrix = Matrix::new(out, width);
    share(width.div_ceil(step), parallel, |steps| {
        let columns = steps.start * step..(steps.end * step).min(width);
        task(steps, &Strip { matrix: &matrix, columns });
    });
}

/// Neighbouring columns of a matrix, which one task writes.
pub(super) struct Strip<'a> {
    matrix: &'a Matrix<'a, f32>,
    columns: Range<usize>,
}

impl Strip<'_> {
    /// Writes `values` to a row, from a column of the matrix on; what would go beyond the strip is left out.
    #[inline(always)]
    pub(super) fn put(&self, row: usize, column: usize, values: &[f32]) {
        assert!(row < self.matrix.rows && self.columns.contains(&column), "outside of the strip");
        let count = values.len().min(self.columns.end - column);
        // SAFETY: the place is within the matrix and within this strip; `share` gives each strip to one call, and the
        // reference ends here.
        unsafe { self.matrix.at(row, column, count) }.copy_from_slice(&values[..count]);
    }
}

/// A row-major matrix of which several threads write disjoint parts.
struct Matrix<'a, T> {
    start: *mut T,
    rows: usize,
    width: usize,
    _out: PhantomData<&'a mut [T]>,
}

// SAFETY: it is only written through `at`, whose callers keep to disjoint parts.
unsafe impl<T: Send> Sync for Matrix<'_, T> {}

impl<'a, T> Matrix<'a, T> {
    fn new(out: &'a mut [T], width: usize) -> Self {
        let rows = out.len().checked_div(width).unwrap_or(0);
        Self { start: out.as_mut_ptr(), rows, width, _out: PhantomData }
    }

    /// # Safety
    /// `row` is one of the rows, the elements lie within it, and no other reference to them lives.
    #[expect(clippy::mut_from_ref, reason = "disjoint parts of what the matrix borrows as its own")]
    unsafe fn at(&self, row: usize, column: usize, count: usize) -> &mut [T] {
        debug_assert!(row < self.rows && column + count <= self.width, "outside of the matrix");
        // SAFETY: as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.width + column), count) }
    }
}

#[cfg(test)]
mod tests {
    use super::{share_columns, share_pieces};

    #[test]
    fn every_piece_and_every_column_is_written_once() {
        for (rows, width, step, parallel) in
            [(1, 1, 16, false), (3, 50, 16, true), (40, 7, 3, true), (2, 640, 16, true)]
        {
            let mut by_rows = vec![0f32; rows * width];
            share_pieces(&mut by_rows, width, parallel, |row, out| {
                out.iter_mut().for_each(|v| *v += row as f32);
            });
            let mut by_columns = vec![-1f32; rows * width];
            share_columns(&mut by_columns, width, step, parallel, |steps, strip| {
                for step_number in steps {
                    for row in 0..rows {
                        strip.put(row, step_number * step, &vec![row as f32; step]);
                    }
                }
            });
            assert_eq!(by_rows, by_columns, "{rows} x {width}");
        }
    }
}
