//! The part of Python's pickle language in which state dicts are written, as data.
//!
//! A pickle is a program for a stack machine, and Python's own machine calls whatever function the
//! program names: opening a stranger's `.pt` file there runs the stranger's code. This machine has no
//! way to call anything. A name is looked up in the short list [`Global`]; the only "calls" are
//! the two in [`Machine::reduce`], which make a dict and describe a tensor. Everything else is
//! refused with its name.
//!
//! - **Source:** the opcodes as described in the comments of CPython's `pickletools`; which of them occur was
//!   taken from real files.
//! - **Limits:** the program's length, the number of objects ([`most_objects`]), and no recursion:
//!   objects live in one list and point to each other by number, so neither a deep nor a circular
//!   structure costs stack.

use super::WeightsError;

/// Most objects that a pickle in a file of this length may make, values its stack may hold, and
/// values it may remember. A thousand arrays make some ten thousand, mostly in files of megabytes;
/// an object may take 128 bytes of memory and a single one in the file.
fn most_objects(file_len: usize) -> usize {
    ((1 << 14) + file_len / 128).min(1 << 20)
}

/// Something on the stack: small, copied freely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// Any float or very long integer: of no interest, but it has to be something.
    Number,
    /// Number of an object in [`Objects`].
    Object(usize),
}

/// Something that others point to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    Text(String),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Global(Global),
    Storage(Storage),
    Tensor(TensorView),
}

/// The names that a state dict may speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
}

/// The number format of a storage, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
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
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The number at the start of `bytes`, of which there must be enough.
    pub(super) fn read(self, bytes: &[u8]) -> f32 {
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
pub(super) struct Storage {
    pub(super) element: Element,
    pub(super) key: String,
    /// How many numbers the whole run has, as the pickle claims.
    pub(super) len: usize,
}

/// A window into a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorView {
    pub(super) storage: Storage,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// What a pickle made: its last value, and all objects.
pub(super) struct Pickle {
    pub(super) value: Value,
    pub(super) objects: Vec<Object>,
}

impl Pickle {
    pub(super) fn object(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(index) => self.objects.get(index),
            _ => None,
        }
    }

    pub(super) fn text(&self, value: Value) -> Option<&str> {
        match self.object(value) {
            Some(Object::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// Runs the pickle at the start of `bytes`, which come from a file of `file_len`; returns what it
/// made and how many bytes it took.
pub(super) fn load(bytes: &[u8], file_len: usize) -> Result<(Pickle, usize), WeightsError> {
    let mut machine = Machine {
        most: most_objects(file_len),
        bytes,
        at: 0,
        objects: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
    };
    let value = machine.run()?;
    Ok((Pickle { value, objects: machine.objects }, machine.at))
}

struct Machine<'a> {
    /// Objects, values on the stack, marks, and memories: of each no more than these.
    most: usize,
    bytes: &'a [u8],
    at: usize,
    objects: Vec<Object>,
    stack: Vec<Value>,
    /// Heights of the stack at which a mark was set.
    marks: Vec<usize>,
    memo: Vec<Option<Value>>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Value, WeightsError> {
        loop {
            let opcode = self.take(1)?[0];
            match opcode {
                b'.' => return self.pop(),
                // Protocol and frame headers tell nothing that is needed.
                0x80 => drop(self.take(1)?),
                0x95 => drop(self.take(8)?),
                b'(' => self.set_mark()?,
                b'q' => self.remember_by(1)?,
                b'r' => self.remember_by(4)?,
                0x94 => self.remember(self.memo.len())?,
                b'h' => self.recall(1)?,
                b'j' => self.recall(4)?,
                b'N' => self.push(Value::None)?,
                0x88 => self.push(Value::Bool(true))?,
                0x89 => self.push(Value::Bool(false))?,
                b'K' | b'M' | b'J' | 0x8a | b'G' => self.number(opcode)?,
                b'X' | 0x8c | b'U' | b'T' => self.text(opcode)?,
                b')' | 0x85 | 0x86 | 0x87 | b't' => self.tuple(opcode)?,
                b']' => self.make(Object::List(Vec::new()))?,
                b'}' => self.make(Object::Dict(Vec::new()))?,
                b'a' | b'e' => self.append(opcode == b'a')?,
                b's' | b'u' => self.set_items(opcode == b's')?,
                b'c' => self.global()?,
                b'Q' => self.storage()?,
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                other => {
                    return Err(WeightsError::NotPlain {
                        what: format!("the pickle opcode {other:#04x}"),
                    });
                }
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], WeightsError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| WeightsError::damaged("the pickle ends early"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A little-endian unsigned integer of up to eight bytes.
    fn take_uint(&mut self, count: usize) -> Result<usize, WeightsError> {
        let wide =
            self.take(count)?.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        usize::try_from(wide).map_err(|_| WeightsError::damaged("a length does not fit"))
    }

    fn push(&mut self, value: Value) -> Result<(), WeightsError> {
        if self.stack.len() == self.most {
            return Err(WeightsError::damaged("the pickle's stack is too deep"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, WeightsError> {
        // What lies below a mark belongs to whoever set it.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(WeightsError::damaged("the pickle takes more than it has"));
        }
        Ok(self.stack.pop().expect("the stack is higher than its floor"))
    }

    fn make(&mut self, object: Object) -> Result<(), WeightsError> {
        if self.objects.len() == self.most {
            return Err(WeightsError::damaged("the pickle makes too many objects"));
        }
        self.objects.push(object);
        self.push(Value::Object(self.objects.len() - 1))
    }

    fn set_mark(&mut self) -> Result<(), WeightsError> {
        if self.marks.len() == self.most {
            return Err(WeightsError::damaged("the pickle sets too many marks"));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, WeightsError> {
        let mark = self.marks.pop();
        let mark = mark.ok_or_else(|| WeightsError::damaged("the pickle misses a mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn remember_by(&mut self, width: usize) -> Result<(), WeightsError> {
        let slot = self.take_uint(width)?;
        self.remember(slot)
    }

    fn remember(&mut self, slot: usize) -> Result<(), WeightsError> {
        if slot >= self.most {
            return Err(WeightsError::damaged("the pickle remembers too much"));
        }
        let value = self.stack.last().copied();
        let value = value.ok_or_else(|| WeightsError::damaged("the pickle remembers nothing"))?;
        if slot >= self.memo.len() {
            self.memo.resize(slot + 1, None);
        }
        self.memo[slot] = Some(value);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Result<(), WeightsError> {
        let slot = self.take_uint(width)?;
        let value = self.memo.get(slot).copied().flatten();
        self.push(value.ok_or_else(|| WeightsError::damaged("the pickle recalls the unknown"))?)
    }

    fn number(&mut self, opcode: u8) -> Result<(), WeightsError> {
        let value = match opcode {
            b'K' => Value::Int(self.take_uint(1)? as i64),
            b'M' => Value::Int(self.take_uint(2)? as i64),
            b'J' => Value::Int(i64::from(self.take_uint(4)? as u32 as i32)),
            b'G' => {
                self.take(8)?;
                Value::Number
            }
            _ => {
                let count = self.take_uint(1)?;
                long(self.take(count)?)
            }
        };
        self.push(value)
    }

    fn text(&mut self, opcode: u8) -> Result<(), WeightsError> {
        let count = self.take_uint(if matches!(opcode, b'X' | b'T') { 4 } else { 1 })?;
        let text = str::from_utf8(self.take(count)?);
        let text = text.map_err(|_| WeightsError::damaged("a name is not UTF-8"))?.to_owned();
        self.make(Object::Text(text))
    }

    fn tuple(&mut self, opcode: u8) -> Result<(), WeightsError> {
        let items = match opcode {
            b')' => Vec::new(),
            b't' => self.pop_to_mark()?,
            _ => {
                let mut items = Vec::new();
                for _ in 0x84..opcode {
                    items.push(self.pop()?);
                }
                items.reverse();
                items
            }
        };
        self.make(Object::Tuple(items))
    }

    /// The object that the items above it on the stack are put into.
    fn container(&mut self) -> Result<&mut Object, WeightsError> {
        let holder = self.stack.last();
        match holder {
            Some(Value::Object(index)) => Ok(&mut self.objects[*index]),
            _ => Err(WeightsError::damaged("the pickle puts items into nothing")),
        }
    }

    fn append(&mut self, single: bool) -> Result<(), WeightsError> {
        let items = if single { vec![self.pop()?] } else { self.pop_to_mark()? };
        match self.container()? {
            Object::List(list) => list.extend(items),
            _ => return Err(WeightsError::damaged("the pickle appends to what is no list")),
        }
        Ok(())
    }

    fn set_items(&mut self, single: bool) -> Result<(), WeightsError> {
        let items = if single {
            let value = self.pop()?;
            vec![self.pop()?, value]
        } else {
            self.pop_to_mark()?
        };
        if items.len() % 2 != 0 {
            return Err(WeightsError::damaged("the pickle has a key without a value"));
        }
        match self.container()? {
            Object::Dict(dict) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err(WeightsError::damaged("the pickle sets items of what is no dict")),
        }
        Ok(())
    }

    fn line(&mut self) -> Result<String, WeightsError> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| WeightsError::damaged("the pickle ends early"))?;
        let line = String::from_utf8_lossy(&rest[..end.min(200)]).into_owned();
        self.at += end + 1;
        Ok(line)
    }

    fn global(&mut self) -> Result<(), WeightsError> {
        let (module, name) = (self.line()?, self.line()?);
        let element = |element| Global::Storage(element);
        let global = match (module.as_str(), name.as_str()) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", "DoubleStorage") => element(Element::F64),
            ("torch", "FloatStorage") => element(Element::F32),
            ("torch", "HalfStorage") => element(Element::F16),
            ("torch", "BFloat16Storage") => element(Element::Bf16),
            ("torch", "LongStorage") => element(Element::I64),
            ("torch", "IntStorage") => element(Element::I32),
            ("torch", "ShortStorage") => element(Element::I16),
            ("torch", "CharStorage") => element(Element::I8),
            ("torch", "ByteStorage") => element(Element::U8),
            ("torch", "BoolStorage") => element(Element::Bool),
            _ => return Err(WeightsError::NotPlain { what: format!("a `{module}.{name}`") }),
        };
        self.make(Object::Global(global))
    }

    /// A persistent id: `("storage", type, key, device, length, view)`, the last one not in zip files.
    fn storage(&mut self) -> Result<(), WeightsError> {
        let id = self.pop()?;
        let storage = self.storage_of(id);
        self.make(Object::Storage(storage.ok_or_else(|| WeightsError::NotPlain {
            what: "a reference to something other than a storage".to_owned(),
        })?))
    }

    fn storage_of(&self, id: Value) -> Option<Storage> {
        let [kind, element, key, _device, len, view @ ..] = self.tuple_at(id)? else { return None };
        let (
            Some(Object::Text(kind)),
            Some(Object::Global(Global::Storage(element))),
            Some(Object::Text(key)),
        ) = (self.object(*kind), self.object(*element), self.object(*key))
        else {
            return None;
        };
        let plain = kind == "storage" && view.iter().all(|view| *view == Value::None);
        plain.then_some(())?;
        Some(Storage { element: *element, key: key.clone(), len: to_usize(*len)? })
    }

    fn reduce(&mut self) -> Result<(), WeightsError> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Some(Object::Global(function)) = self.object(function) else {
            return Err(WeightsError::damaged("the pickle calls what is no function"));
        };
        match function {
            Global::OrderedDict => {
                let items = self.pairs(arguments);
                self.make(Object::Dict(
                    items.ok_or_else(|| WeightsError::damaged("a dict is made of no pairs"))?,
                ))
            }
            Global::RebuildTensor => {
                let tensor = self.tensor_of(arguments);
                self.make(Object::Tensor(
                    tensor.ok_or_else(|| WeightsError::damaged("a tensor is described wrongly"))?,
                ))
            }
            Global::RebuildParameter => {
                let tensor = self.tuple_at(arguments).and_then(|items| items.first().copied());
                match tensor.and_then(|tensor| self.object(tensor)) {
                    Some(Object::Tensor(view)) => self.make(Object::Tensor(view.clone())),
                    _ => Err(WeightsError::damaged("a parameter holds no tensor")),
                }
            }
            Global::Storage(_) => {
                Err(WeightsError::NotPlain { what: "a storage made by a call".to_owned() })
            }
        }
    }

    /// The arguments of an ordered dict: nothing, or one list of pairs.
    fn pairs(&self, arguments: Value) -> Option<Vec<(Value, Value)>> {
        let [list] = self.tuple_at(arguments)? else {
            return self.tuple_at(arguments)?.is_empty().then(Vec::new);
        };
        let Some(Object::List(list)) = self.object(*list) else { return None };
        let pair = |item: &Value| match *self.tuple_at(*item).or_else(|| self.list_at(*item))? {
            [key, value] => Some((key, value)),
            _ => None,
        };
        list.iter().map(pair).collect()
    }

    /// `(storage, offset, shape, strides, requires_grad, hooks)`.
    fn tensor_of(&self, arguments: Value) -> Option<TensorView> {
        let [storage, offset, shape, strides, ..] = self.tuple_at(arguments)? else { return None };
        let Some(Object::Storage(storage)) = self.object(*storage) else { return None };
        let sizes = |value: &Value| -> Option<Vec<usize>> {
            self.tuple_at(*value)?.iter().map(|size| to_usize(*size)).collect()
        };
        let (shape, strides) = (sizes(shape)?, sizes(strides)?);
        (shape.len() == strides.len()).then_some(())?;
        Some(TensorView { storage: storage.clone(), offset: to_usize(*offset)?, shape, strides })
    }

    /// The state of an ordered dict (PyTorch's `_metadata`) says nothing of the numbers.
    fn build(&mut self) -> Result<(), WeightsError> {
        self.pop()?;
        match self.container()? {
            Object::Dict(_) => Ok(()),
            _ => Err(WeightsError::NotPlain { what: "an object with a state".to_owned() }),
        }
    }

    fn object(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(index) => self.objects.get(index),
            _ => None,
        }
    }

    fn tuple_at(&self, value: Value) -> Option<&[Value]> {
        match self.object(value) {
            Some(Object::Tuple(items)) => Some(items),
            _ => None,
        }
    }

    fn list_at(&self, value: Value) -> Option<&[Value]> {
        match self.object(value) {
            Some(Object::List(items)) => Some(items),
            _ => None,
        }
    }
}

fn to_usize(value: Value) -> Option<usize> {
    match value {
        Value::Int(int) => usize::try_from(int).ok(),
        _ => None,
    }
}

/// A little-endian two's complement integer; one that `i64` does not hold is only [`Value::Number`].
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Number;
    }
    let negative = bytes.last().is_some_and(|top| top & 0x80 != 0);
    let mut wide = [if negative { 0xFF } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}
