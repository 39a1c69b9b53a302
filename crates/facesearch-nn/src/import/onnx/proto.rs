//! The part of ONNX's messages that is read: field numbers and types are the format's.

use prost::Message;
use prost::bytes::Bytes;

#[derive(Clone, PartialEq, Message)]
pub(in crate::import) struct Model {
    #[prost(message, optional, tag = "7")]
    pub(in crate::import) graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub(in crate::import) opset_import: Vec<OperatorSet>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::import) struct OperatorSet {
    #[prost(string, tag = "1")]
    pub(in crate::import) domain: String,
    #[prost(int64, tag = "2")]
    pub(in crate::import) version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::import) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::import) node: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    pub(in crate::import) initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub(in crate::import) input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub(in crate::import) output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::import) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(in crate::import) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(in crate::import) output: Vec<String>,
    #[prost(string, tag = "3")]
    pub(in crate::import) name: String,
    #[prost(string, tag = "4")]
    pub(in crate::import) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(in crate::import) attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub(in crate::import) domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::import) struct Attribute {
    #[prost(string, tag = "1")]
    pub(in crate::import) name: String,
    #[prost(float, tag = "2")]
    pub(in crate::import) f: f32,
    #[prost(int64, tag = "3")]
    pub(in crate::import) i: i64,
    #[prost(bytes = "bytes", tag = "4")]
    pub(in crate::import) s: Bytes,
    #[prost(message, optional, tag = "5")]
    pub(in crate::import) t: Option<Tensor>,
    #[prost(float, repeated, tag = "7")]
    pub(in crate::import) floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub(in crate::import) ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    pub(in crate::import) kind: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::import) struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub(in crate::import) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(in crate::import) data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub(in crate::import) float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub(in crate::import) int32_data: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub(in crate::import) int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub(in crate::import) name: String,
    #[prost(bytes = "bytes", tag = "9")]
    pub(in crate::import) raw_data: Bytes,
    #[prost(double, repeated, tag = "10")]
    pub(in crate::import) double_data: Vec<f64>,
    #[prost(int32, tag = "14")]
    pub(in crate::import) data_location: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::import) struct ValueInfo {
    #[prost(string, tag = "1")]
    pub(in crate::import) name: String,
    #[prost(message, optional, tag = "2")]
    pub(in crate::import) r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::import) struct Type {
    #[prost(message, optional, tag = "1")]
    pub(in crate::import) tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::import) struct TensorType {
    #[prost(message, optional, tag = "2")]
    pub(in crate::import) shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::import) struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::import) dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::import) struct Dimension {
    #[prost(int64, tag = "1")]
    pub(in crate::import) dim_value: i64,
}
