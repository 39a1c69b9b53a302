//! Shares the output channels of single pixels among threads.

use crate::kernels::Panel;
use crate::layers::join;

/// Some of the output channels, and memory for their results. The channels of several pixels are
/// interleaved in the output, so threads cannot write them there side by side.
pub(super) struct ChannelShare {
    /// The first output channel.
    pub(super) first: usize,
    pub(super) channels: usize,
    /// Panels with the output channels counted from the first one.
    pub(super) panels: Vec<(usize, Panel)>,
    pub(super) output: Vec<f32>,
}

impl ChannelShare {
    pub(super) fn new(panels: &[(usize, Panel)], pixels: usize) -> Self {
        let first = panels[0].1.first;
        let channels = panels.iter().map(|(_, panel)| panel.channels).sum();
        let from_zero = |(group, panel): &(usize, Panel)| {
            (*group, Panel { first: panel.first - first, ..*panel })
        };
        let panels = panels.iter().map(from_zero).collect();
        Self { first, channels, panels, output: vec![0.0; pixels * channels] }
    }
}

/// Does `work` for each share, on as many threads as are free.
pub(super) fn for_each_share(
    shares: &mut [ChannelShare],
    work: &(impl Fn(&mut ChannelShare) + Sync),
) {
    match shares {
        [] => {}
        [share] => work(share),
        _ => {
            let (first, second) = shares.split_at_mut(shares.len() / 2);
            join(|| for_each_share(first, work), || for_each_share(second, work));
        }
    }
}
