//! What deepface and facenet-pytorch call the same layers.
//!
//! - **Trap:** deepface numbers the second branch of its blocks of 17 and of 8 like the block
//!   (`Block17_4_Branch_4_…`), but for the very last block.

use facesearch_nn::Weights;

use super::Step;

/// Whose names a file of weights has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// deepface's.
    Keras,
    /// facenet-pytorch's.
    Torch,
}

/// A block of branches, by its names.
pub(super) struct Block {
    torch: String,
    keras: String,
    /// Keras's number of the second branch.
    second: usize,
}

impl Block {
    pub(super) fn of_35(i: usize) -> Self {
        Self::new(format!("repeat_1.{i}"), format!("Block35_{}", i + 1), 1)
    }

    pub(super) fn of_17(i: usize) -> Self {
        Self::new(format!("repeat_2.{i}"), format!("Block17_{}", i + 1), i + 1)
    }

    pub(super) fn of_8(i: usize) -> Self {
        Self::new(format!("repeat_3.{i}"), format!("Block8_{}", i + 1), i + 1)
    }

    /// The last block of eight.
    pub(super) fn last() -> Self {
        Self::new("block8".to_owned(), "Block8_6".to_owned(), 1)
    }

    /// One that halves the map.
    pub(super) fn mixed(place: &str) -> Self {
        Self::new(format!("mixed_{place}"), format!("Mixed_{place}"), 1)
    }

    fn new(torch: String, keras: String, second: usize) -> Self {
        Self { torch, keras, second }
    }
}

impl Layout {
    pub(super) fn of(weights: &Weights) -> Self {
        if weights.has("Bottleneck.kernel") { Self::Keras } else { Self::Torch }
    }

    /// A convolution before the blocks, `size x size`.
    pub(super) fn first(self, place: &str, size: usize) -> String {
        match self {
            Self::Keras => format!("Conv2d_{place}_{size}x{size}"),
            Self::Torch => format!("conv2d_{place}"),
        }
    }

    /// Step `i` of `all` in a branch.
    pub(super) fn branch(
        self,
        block: &Block,
        branch: usize,
        (i, all): (usize, usize),
        step: &Step,
    ) -> String {
        let [h, w] = step.size;
        match self {
            Self::Torch if all == 1 => format!("{}.branch{branch}", block.torch),
            Self::Torch => format!("{}.branch{branch}.{i}", block.torch),
            Self::Keras => {
                let number = if branch == 1 { block.second } else { branch };
                let place = match (step.padded, all) {
                    (false, _) => "1a_",
                    (true, 1) => "",
                    (true, _) => ["0a_", "0b_", "0c_"][i],
                };
                format!("{}_Branch_{number}_Conv2d_{place}{h}x{w}", block.keras)
            }
        }
    }

    /// The convolution behind a block's branches.
    pub(super) fn projection(self, block: &Block) -> String {
        match self {
            Self::Keras => format!("{}_Conv2d_1x1", block.keras),
            Self::Torch => format!("{}.conv2d", block.torch),
        }
    }

    /// The dense layer and its normalisation.
    pub(super) fn last_layers(self) -> [&'static str; 2] {
        match self {
            Self::Keras => ["Bottleneck", "Bottleneck_BatchNorm"],
            Self::Torch => ["last_linear", "last_bn"],
        }
    }

    /// The weights of a layer that stands by itself.
    pub(super) fn kernel(self, layer: &str) -> String {
        match self {
            Self::Keras => format!("{layer}.kernel"),
            Self::Torch => format!("{layer}.weight"),
        }
    }

    /// The weights of a convolution that a normalisation follows.
    pub(super) fn basic_kernel(self, layer: &str) -> String {
        match self {
            Self::Keras => format!("{layer}.kernel"),
            Self::Torch => format!("{layer}.conv.weight"),
        }
    }

    /// That normalisation.
    pub(super) fn basic_norm(self, layer: &str) -> String {
        match self {
            Self::Keras => format!("{layer}_BatchNorm"),
            Self::Torch => format!("{layer}.bn"),
        }
    }
}
