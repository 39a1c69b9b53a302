//! OpenVINO's IR: a graph in XML, and its weights as raw numbers in a second file.
//!
//! - **Source:** <https://docs.openvino.ai/2024/documentation/openvino-ir-format.html>, versions 10
//!   and 11. Layers have numbered ports, which edges connect. A `Const` layer is a range of the
//!   file of weights.
//! - **Output:** the same network in ONNX's operators. Weights in `f16` become `f32`.
//! - **Trap:** a grouped convolution's weights have five dimensions here, `[groups, out, in, rows,
//!   columns]`, and a `PReLU`'s slopes belong to the channels whatever their shape.

use std::collections::HashMap;

use roxmltree::{Document, Node as Element};

use super::ImportError;
use super::array::{Array, Element as Number};
use super::model::{Attribute, Model, Node};

/// Reads the bytes of the two files.
pub(super) fn read(xml: &[u8], bin: &[u8]) -> Result<Model, ImportError> {
    let text = std::str::from_utf8(xml)
        .map_err(|_| ImportError::damaged("the .xml is no text; is it the .bin?"))?;
    bounded(text, bin.len())?;
    let document = Document::parse(text)
        .map_err(|error| ImportError::damaged(format!("the .xml cannot be read ({error})")))?;
    let net = document.root_element();
    if net.tag_name().name() != "net" {
        return Err(ImportError::damaged("the .xml describes no network"));
    }
    let section = |name: &str| {
        let found = net.children().find(|child| child.has_tag_name(name));
        found.ok_or_else(|| ImportError::damaged(format!("the .xml has no <{name}>")))
    };
    let sources = sources(section("edges")?);
    let mut model = Model { version: 13, ..Model::default() };
    let layers = section("layers")?;
    for layer in in_order(layers, &sources)? {
        Layer { layer, sources: &sources, bin }.read(&mut model)?;
    }
    Ok(model)
}

/// Refuses a text whose tree would take far more memory than the two files. While the tree grows, a
/// tag may take 240 bytes, including the whitespace after it, and an attribute 64.
fn bounded(text: &str, bin: usize) -> Result<(), ImportError> {
    let count = |what: u8| text.bytes().filter(|byte| *byte == what).count();
    let tree = 240 * count(b'<') + 64 * count(b'=');
    if tree > (text.len() + bin) / 2 * 5 + (1 << 17) {
        let what =
            "the .xml describes far more than the .bin holds; one of them is cut or another's";
        return Err(ImportError::damaged(what));
    }
    Ok(())
}

/// For each port of each layer: the layer and port that it reads.
type Sources<'a> = HashMap<&'a str, HashMap<&'a str, (&'a str, &'a str)>>;

fn sources<'a>(edges: Element<'a, 'a>) -> Sources<'a> {
    let mut sources = Sources::new();
    for edge in edges.children().filter(|e| e.has_tag_name("edge")) {
        let attribute = |name: &str| edge.attribute(name).unwrap_or_default();
        let from = (attribute("from-layer"), attribute("from-port"));
        sources.entry(attribute("to-layer")).or_default().insert(attribute("to-port"), from);
    }
    sources
}

/// The layers, each after those that it reads. Files list them in any order.
fn in_order<'a>(
    layers: Element<'a, 'a>,
    sources: &Sources<'a>,
) -> Result<Vec<Element<'a, 'a>>, ImportError> {
    let layers: Vec<_> = layers.children().filter(|l| l.has_tag_name("layer")).collect();
    let id = |layer: &Element<'a, 'a>| layer.attribute("id").unwrap_or_default();
    let by_id: HashMap<&str, usize> = layers.iter().enumerate().map(|(i, l)| (id(l), i)).collect();
    let mut waits_for = vec![0usize; layers.len()];
    let mut readers = vec![Vec::new(); layers.len()];
    for (reader, ports) in sources {
        let Some(reader) = by_id.get(reader) else { continue };
        for (from, _) in ports.values() {
            let missing = || ImportError::damaged(format!("layer {from} is missing"));
            readers[*by_id.get(from).ok_or_else(missing)?].push(*reader);
            waits_for[*reader] += 1;
        }
    }
    let mut ready: Vec<usize> = (0..layers.len()).rev().filter(|i| waits_for[*i] == 0).collect();
    let mut order = Vec::with_capacity(layers.len());
    while let Some(next) = ready.pop() {
        order.push(layers[next]);
        for reader in &readers[next] {
            waits_for[*reader] -= 1;
            if waits_for[*reader] == 0 {
                ready.push(*reader);
            }
        }
    }
    if order.len() < layers.len() {
        return Err(ImportError::damaged("its layers read each other in a circle"));
    }
    Ok(order)
}

struct Layer<'a, 'b> {
    layer: Element<'a, 'a>,
    sources: &'b Sources<'a>,
    bin: &'b [u8],
}

impl<'a> Layer<'a, '_> {
    fn read(&self, model: &mut Model) -> Result<(), ImportError> {
        let id = self.layer.attribute("id").unwrap_or_default();
        let inputs = self.inputs(id);
        let outputs = self.ports("output").map(|port| value_name(id, port)).collect::<Vec<_>>();
        let output = outputs.first().cloned().unwrap_or_default();
        match self.kind() {
            "Parameter" if model.input.is_some() => {
                return Err(self.refuse("a second input".into()));
            }
            "Parameter" => {
                let dims = self.list("shape").unwrap_or_default();
                let dims = dims.iter().map(|d| usize::try_from(*d).ok().filter(|d| *d > 0));
                model.input = Some((output, dims.collect()));
            }
            "Const" => {
                model.constants.insert(output, self.constant()?);
            }
            "Result" => model.outputs.extend(inputs),
            _ => {
                model.nodes.push(self.node(inputs, outputs)?);
            }
        }
        Ok(())
    }

    fn kind(&self) -> &'a str {
        self.layer.attribute("type").unwrap_or_default()
    }

    fn name(&self) -> String {
        self.layer.attribute("name").unwrap_or_default().to_owned()
    }

    /// The names of the values that the layer reads, by port.
    fn inputs(&self, id: &str) -> Vec<String> {
        let sources = self.sources.get(id);
        let source_of = |port: &str| sources.and_then(|s| s.get(port));
        self.ports("input")
            .map(|port| {
                source_of(port).map(|(layer, port)| value_name(layer, port)).unwrap_or_default()
            })
            .collect()
    }

    fn ports(&self, side: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        let sides = self.layer.children().filter(move |child| child.has_tag_name(side));
        let ports = sides.flat_map(|s| s.children().filter(|child| child.has_tag_name("port")));
        ports.map(|port| port.attribute("id").unwrap_or_default())
    }

    fn data(&self, name: &str) -> Option<&'a str> {
        self.layer.children().find(|child| child.has_tag_name("data"))?.attribute(name)
    }

    fn list(&self, name: &str) -> Option<Vec<i64>> {
        let text = self.data(name)?;
        if text.trim().is_empty() {
            return Some(Vec::new());
        }
        text.split(',').map(|v| v.trim().parse().ok()).collect()
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.data(name), Some("true" | "True" | "1"))
    }

    fn refuse(&self, what: String) -> ImportError {
        ImportError::Use { operator: self.kind().to_owned(), node: self.name(), what }
    }

    fn constant(&self) -> Result<Array, ImportError> {
        let number = match self.data("element_type").unwrap_or_default() {
            "f32" => Number::F32,
            "f64" => Number::F64,
            "f16" => Number::F16,
            "bf16" => Number::Bf16,
            "i64" | "u64" => Number::I64,
            "i32" => Number::I32,
            "i8" => Number::I8,
            "u8" | "boolean" => Number::U8,
            other => return Err(self.refuse(format!("numbers of type `{other}`"))),
        };
        let size = |name: &str| self.data(name).and_then(|v| v.parse::<usize>().ok());
        let dims = self.list("shape").unwrap_or_default();
        let dims = dims.iter().map(|d| usize::try_from(*d)).collect::<Result<Vec<_>, _>>();
        let window = size("offset")
            .zip(size("size"))
            .and_then(|(start, length)| self.bin.get(start..start.checked_add(length)?));
        match (dims, window) {
            (Ok(dims), Some(bytes)) => Array::from_bytes(dims, number, bytes),
            _ => {
                let what = format!("the weights of {} lie outside the .bin", self.name());
                Err(ImportError::damaged(what))
            }
        }
    }

    /// The layer as a node with ONNX's operator and options. An unknown type keeps its name, by
    /// which it is refused later.
    fn node(&self, inputs: Vec<String>, outputs: Vec<String>) -> Result<Node, ImportError> {
        let mut node = Node { name: self.name(), inputs, outputs, ..Node::default() };
        let mut set = |name: &str, value: Attribute| {
            node.attributes.insert(name.to_owned(), value);
        };
        let operator = match self.kind() {
            "Multiply" => "Mul",
            "Subtract" => "Sub",
            "Divide" => "Div",
            "PReLU" => {
                set("per_channel", Attribute::Whole(1));
                "PRelu"
            }
            "ReLU" => "Relu",
            "Convert" => "Identity",
            "ShapeOf" => "Shape",
            "SoftMax" | "Softmax" => {
                let axis = self.data("axis").and_then(|v| v.parse().ok()).unwrap_or(1);
                set("axis", Attribute::Whole(axis));
                "Softmax"
            }
            "Concat" => {
                let axis = self.data("axis").and_then(|v| v.parse().ok());
                set("axis", Attribute::Whole(axis.unwrap_or(0)));
                "Concat"
            }
            "Clamp" => {
                for name in ["min", "max"] {
                    let bound = self.data(name).and_then(|v| v.parse::<f32>().ok());
                    let bound = bound.ok_or_else(|| self.refuse(format!("no {name}")))?;
                    set(name, Attribute::Real(bound));
                }
                "Clip"
            }
            "MatMul" => {
                set("transA", Attribute::Whole(self.flag("transpose_a").into()));
                set("transB", Attribute::Whole(self.flag("transpose_b").into()));
                "MatMul"
            }
            "ReduceMean" => {
                set("keepdims", Attribute::Whole(self.flag("keep_dims").into()));
                "ReduceMean"
            }
            "Reshape" => {
                let zero_copies = self.flag("special_zero");
                set("allowzero", Attribute::Whole((!zero_copies).into()));
                "Reshape"
            }
            kind @ ("Convolution" | "GroupConvolution" | "MaxPool" | "AvgPool") => {
                self.window(&mut set)?;
                match kind {
                    "Convolution" => "Conv",
                    "AvgPool" => "AveragePool",
                    other => other,
                }
            }
            "Gather" | "StridedSlice" | "Interpolate" | "Pad" | "Clip" | "Gemm" | "Slice" => {
                // ONNX has these names too, with other inputs and options.
                return Err(ImportError::Operator {
                    operator: self.kind().to_owned(),
                    node: self.name(),
                });
            }
            other => other,
        };
        node.operator = operator.to_owned();
        Ok(node)
    }

    fn window(&self, set: &mut impl FnMut(&str, Attribute)) -> Result<(), ImportError> {
        for (here, there) in
            [("strides", "strides"), ("dilations", "dilations"), ("kernel", "kernel_shape")]
        {
            if let Some(values) = self.list(here) {
                set(there, Attribute::Wholes(values));
            }
        }
        let mut pads = self.list("pads_begin").unwrap_or_default();
        pads.extend(self.list("pads_end").unwrap_or_default());
        match self.data("auto_pad").unwrap_or("explicit") {
            "explicit" | "notset" => set("pads", Attribute::Wholes(pads)),
            "same_upper" => set("auto_pad", Attribute::Text("SAME_UPPER".into())),
            "same_lower" => set("auto_pad", Attribute::Text("SAME_LOWER".into())),
            "valid" => set("auto_pad", Attribute::Text("VALID".into())),
            other => return Err(self.refuse(format!("auto_pad {other}"))),
        }
        let ceil = self.data("rounding_type") == Some("ceil");
        set("ceil_mode", Attribute::Whole(ceil.into()));
        let counts_padding = !self.flag("exclude-pad");
        set("count_include_pad", Attribute::Whole(counts_padding.into()));
        Ok(())
    }
}

fn value_name(layer: &str, port: &str) -> String {
    format!("{layer}:{port}")
}
