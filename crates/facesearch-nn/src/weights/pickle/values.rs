//! What a pickle makes: values, objects, and the formats of PyTorch's storages.

/// A value on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::weights) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// A float or a very long integer. State dicts do not need its value.
    Number,
    /// The index of an object in [`Pickle::objects`].
    Object(usize),
}

/// An object that values refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::weights) enum Object {
    Text(String),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Global(Global),
    Storage(Storage),
    Tensor(TensorView),
}

/// The functions and types that a state dict may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::weights) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
}

/// The number format of a storage, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::weights) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Element {
    pub(in crate::weights) fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The number at the start of `bytes`. Panics where these are too few.
    pub(in crate::weights) fn read(self, bytes: &[u8]) -> f32 {
        match self {
            Self::F64 => f64::from_le_bytes(first(bytes)) as f32,
            Self::F32 => f32::from_le_bytes(first(bytes)),
            Self::F16 => half::f16::from_le_bytes(first(bytes)).to_f32(),
            Self::Bf16 => half::bf16::from_le_bytes(first(bytes)).to_f32(),
            Self::I64 => i64::from_le_bytes(first(bytes)) as f32,
            Self::I32 => i32::from_le_bytes(first(bytes)) as f32,
            Self::I16 => f32::from(i16::from_le_bytes(first(bytes))),
            Self::I8 => f32::from(i8::from_le_bytes(first(bytes))),
            Self::U8 => f32::from(bytes[0]),
            Self::Bool => f32::from(u8::from(bytes[0] != 0)),
        }
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("the caller has checked that the number lies inside its storage")
}

/// A run of numbers elsewhere in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::weights) struct Storage {
    pub(in crate::weights) element: Element,
    pub(in crate::weights) key: String,
    /// How many numbers the whole run has, according to the pickle.
    pub(in crate::weights) len: usize,
}

/// A window into a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::weights) struct TensorView {
    pub(in crate::weights) storage: Storage,
    pub(in crate::weights) offset: usize,
    pub(in crate::weights) shape: Vec<usize>,
    pub(in crate::weights) strides: Vec<usize>,
}

/// The result of a pickle: its last value, and all objects.
pub(in crate::weights) struct Pickle {
    pub(in crate::weights) value: Value,
    pub(in crate::weights) objects: Vec<Object>,
}

impl Pickle {
    pub(in crate::weights) fn object(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(index) => self.objects.get(index),
            _ => None,
        }
    }

    pub(in crate::weights) fn text(&self, value: Value) -> Option<&str> {
        match self.object(value) {
            Some(Object::Text(text)) => Some(text),
            _ => None,
        }
    }
}
