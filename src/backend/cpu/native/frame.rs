//! What the code around the steps has to know: how tiles lie in memory, and whether pass follows pass.

/// Distances in memory, bytes, and what ends a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// From a row of a tile to the next.
    pub row: usize,
    /// From a tile to the next.
    pub tile: usize,
    /// From the slots of a tile to those of the next.
    pub slots: usize,
    /// The row that is 0 in every lane as long as one pass may follow another without a look at the lanes; `None` where one pass is made.
    pub asks: Option<usize>,
}

/// What one pass has to do with the next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Passes<'a> {
    /// It takes some outputs up as inputs: outputs, by their number, each with the row of the input.
    TakingUp(&'a [[usize; 2]]),
    /// It follows at once.
    Walking(&'a Walk),
}

impl Passes<'_> {
    /// How passes follow at once, where they do.
    pub(super) fn walk(&self) -> Option<&Walk> {
        match self {
            Passes::Walking(walk) => Some(walk),
            Passes::TakingUp(_) => None,
        }
    }
}

/// How passes follow one another: carried outputs become inputs.
///
/// Carried rows have two places, in the tile and at the same distance in another tile, the far one. A pass reads them from one and writes them
/// to the other, and the next pass the other way about. So nothing is copied, and what the last pass has read is still there when it is over.
#[derive(Clone, Debug)]
pub(in crate::backend::cpu) struct Walk {
    /// Outputs, by their number, each with the row of the input that it becomes.
    pub carried: Vec<[usize; 2]>,
    /// The output that is 0 where a lane need not be looked at.
    pub asks: usize,
    /// Whether fibres differ, so that their events do not fall together.
    pub apart: bool,
}
