//! Means over a whole map.

use super::{IN_ORDER, Lowering, Map};
use crate::import::ImportError;
use crate::import::model::Node;

impl Lowering {
    /// `GlobalAveragePool`, and `ReduceMean` over rows and columns.
    pub(super) fn mean(&mut self, node: &Node) -> Result<Map, ImportError> {
        let x = self.map(node, 0)?;
        if x.dims.len() != 4 {
            return Err(node.unknown_use(format!("a mean of {:?}", x.dims)));
        }
        let mut axes = vec![2, 3];
        if node.operator == "ReduceMean" {
            let given = self.wholes(node, 1, "axes")?.unwrap_or_default();
            axes = given.iter().map(|a| self.axis(node, *a, 4)).collect::<Result<_, _>>()?;
        }
        // The two axes that are not channels of the layer.
        let mut spatial: Vec<usize> = (0..3).filter(|a| x.order[*a] != 0).map(|a| a + 1).collect();
        axes.sort_unstable();
        spatial.sort_unstable();
        if axes != spatial {
            return Err(node.unknown_use(format!("a mean over the axes {axes:?}")));
        }
        let id = self.g.global_average(x.id);
        let keeps = node.operator == "GlobalAveragePool" || node.whole("keepdims") != Some(0);
        if keeps {
            let dims = (0..4).map(|axis| if axes.contains(&axis) { 1 } else { x.dims[axis] });
            return Ok(Map { id, dims: dims.collect(), order: x.order });
        }
        let channels = x.layer_sizes()[0];
        Ok(Map { id, dims: vec![1, channels], order: IN_ORDER })
    }
}
