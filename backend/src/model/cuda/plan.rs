//! What the kernels must know of a step: positions, slots, tables of blocks, and which tokens go where. One copy to the device.

use candle_core::{Result, Tensor};

use super::{Kernels, Shape};
use crate::model::attention::Span;
use crate::model::cache::BLOCK_TOKENS;

/// Chunks of so many tokens use the tensor cores, whose products have 16 rows.
const TILES_FROM: usize = 8;
/// Tokens of a tile, as the kernel has it.
const TILE_ROWS: usize = 64;
/// Numbers to whose multiple each section begins: a kernel reads a tile's four at once.
const ALIGNED: usize = 4;

/// A step on the device. Numbers are of 32 bits.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Of each token.
    pub(super) positions: Tensor,
    /// Where each token's key and value go.
    pub(super) slots: Tensor,
    /// The blocks of each sequence, one sequence after the other.
    pub(super) tables: Tensor,
    /// Tokens of the step.
    pub(super) tokens: usize,
    /// Tokens that go one by one.
    pub(super) rows: Option<Rows>,
    /// Neighbouring tokens that go together: `[tiles, 4]`.
    pub(super) tiles: Option<Tensor>,
}

/// Tokens that go one by one, each with its row in the step, where its table begins, and how many positions it sees.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) token: Tensor,
    pub(super) table: Tensor,
    pub(super) visible: Tensor,
    /// The same on the host.
    pub(super) sees: Vec<u32>,
}

/// The plan as numbers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sections {
    positions: Vec<u32>,
    slots: Vec<u32>,
    tables: Vec<u32>,
    row_token: Vec<u32>,
    row_table: Vec<u32>,
    row_visible: Vec<u32>,
    tiles: Vec<u32>,
}

impl Sections {
    fn new(shape: Shape, spans: &[Span<'_>]) -> Self {
        let mut sections = Self::default();
        for span in spans {
            let (first, table) = (sections.positions.len() as u32, sections.tables.len() as u32);
            sections.positions.extend(span.start as u32..span.end() as u32);
            sections.slots.extend(span.slots(span.start, span.end()));
            sections.tables.extend(&span.blocks[..span.end().div_ceil(BLOCK_TOKENS)]);
            if shape.tiles() && span.tokens >= TILES_FROM {
                for at in (0..span.tokens).step_by(TILE_ROWS) {
                    let tokens = TILE_ROWS.min(span.tokens - at) as u32;
                    sections.tiles.extend([first + at as u32, tokens, (span.start + at) as u32, table]);
                }
            } else {
                let tokens = span.tokens as u32;
                sections.row_token.extend(first..first + tokens);
                sections.row_table.extend((0..tokens).map(|_| table));
                sections.row_visible.extend(span.start as u32 + 1..=span.end() as u32);
            }
        }
        sections
    }

    /// All sections one after the other, and where each begins.
    fn packed(&self) -> (Vec<u32>, [(usize, usize); 7]) {
        let Self { positions, slots, tables, row_token, row_table, row_visible, tiles } = self;
        let mut packed = Vec::new();
        let places = [positions, slots, tables, row_token, row_table, row_visible, tiles].map(|section| {
            let begin = packed.len();
            packed.extend_from_slice(section);
            packed.resize(packed.len().next_multiple_of(ALIGNED), 0);
            (begin, section.len())
        });
        (packed, places)
    }
}

impl Kernels {
    /// Brings a step's tables to the device.
    pub(crate) fn plan(&self, spans: &[Span<'_>]) -> Result<Plan> {
        let sections = Sections::new(self.shape, spans);
        let (packed, places) = sections.packed();
        let packed = Tensor::new(packed, &self.runner.device())?;
        let sees = sections.row_visible;
        let [positions, slots, tables, token, table, visible, tiles] =
            places.map(|(begin, length)| packed.narrow(0, begin, length));
        Ok(Plan {
            positions: positions?,
            slots: slots?,
            tables: tables?,
            tokens: sections.positions.len(),
            rows: match sees.len() {
                0 => None,
                _ => Some(Rows { token: token?, table: table?, visible: visible?, sees }),
            },
            tiles: match sections.tiles.len() / 4 {
                0 => None,
                count => Some(tiles?.reshape((count, 4))?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::{Sections, Shape, Span};

    #[test]
    fn long_chunks_become_tiles_and_the_rest_rows() {
        let tables: [Vec<u32>; 3] = [vec![9, 2, 7], vec![0, 5, 6, 8, 1], vec![4, 3]];
        let spans = [
            Span { blocks: &tables[0], start: 17, tokens: 1 },
            Span { blocks: &tables[1], start: 2, tokens: 70 },
            Span { blocks: &tables[2], start: 0, tokens: 2 },
        ];
        let shape = Shape { heads: 4, kv_heads: 2, head_dim: 64, dtype: DType::BF16 };
        let sections = Sections::new(shape, &spans);
        assert_eq!(sections.tables, [9, 2, 0, 5, 6, 8, 1, 4]);
        assert_eq!(sections.tiles, [1, 64, 2, 2, 65, 6, 66, 2]);
        assert_eq!(sections.row_token, [0, 71, 72]);
        assert_eq!(sections.row_table, [0, 7, 7]);
        assert_eq!(sections.row_visible, [18, 1, 2]);
        assert_eq!((sections.slots[0], sections.slots[1], sections.slots[15]), (33, 2, 80));
        let (packed, places) = sections.packed();
        assert!(places.iter().all(|(begin, _)| begin % 4 == 0));
        assert_eq!(&packed[places[6].0..], sections.tiles.as_slice());
        let wide = Shape { dtype: DType::F32, ..shape };
        assert_eq!(Sections::new(wide, &spans).row_token.len(), 73);
    }
}
