//! Reads the part of Python's pickle format that state dicts use, without running anything.
//!
//! A pickle is a program for a stack machine. Python's machine calls any function that the program
//! names, so opening a stranger's `.pt` file there runs the stranger's code. This machine cannot
//! call anything. A name must be in the list [`Global`], and [`Machine::reduce`] only makes dicts
//! and describes tensors. Everything else is refused by its name.
//!
//! - **Source:** the opcodes are described in the comments of CPython's `pickletools`. Those that
//!   occur in real files are read.
//! - **Limits:** the length of the program and the number of objects ([`max_objects`]). There is no
//!   recursion: objects are in one list and refer to each other by index, so neither deep nor
//!   circular structures need stack.

mod values;

use super::WeightsError;
use values::Global;
pub(super) use values::{Element, Object, Pickle, Storage, TensorView, Value};

/// How many objects a pickle in a file of this length may make, how many values its stack may hold,
/// and how many it may memoise. A thousand arrays make about ten thousand objects, mostly in files
/// of megabytes. An object takes up to 128 bytes of memory, and as little as one byte of the file.
fn max_objects(file_len: usize) -> usize {
    ((1 << 14) + file_len / 128).min(1 << 20)
}

/// Runs the pickle at the start of `bytes`, which come from a file of `file_len` bytes. Returns its
/// result and how many bytes it has.
pub(super) fn load(bytes: &[u8], file_len: usize) -> Result<(Pickle, usize), WeightsError> {
    let mut machine = Machine {
        max: max_objects(file_len),
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
    /// The limit for objects, for values on the stack, for marks and for memo slots.
    max: usize,
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
                // Protocol and frame headers are not needed.
                0x80 => drop(self.take(1)?),
                0x95 => drop(self.take(8)?),
                b'(' => self.set_mark()?,
                b'q' => self.memoise_at(1)?,
                b'r' => self.memoise_at(4)?,
                0x94 => self.memoise(self.memo.len())?,
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
        if self.stack.len() == self.max {
            return Err(WeightsError::damaged("the pickle's stack is too deep"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, WeightsError> {
        // A mark protects the values below it.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(WeightsError::damaged("the pickle takes more than it has"));
        }
        Ok(self.stack.pop().expect("the stack is higher than its floor"))
    }

    fn make(&mut self, object: Object) -> Result<(), WeightsError> {
        if self.objects.len() == self.max {
            return Err(WeightsError::damaged("the pickle makes too many objects"));
        }
        self.objects.push(object);
        self.push(Value::Object(self.objects.len() - 1))
    }

    fn set_mark(&mut self) -> Result<(), WeightsError> {
        if self.marks.len() == self.max {
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

    fn memoise_at(&mut self, width: usize) -> Result<(), WeightsError> {
        let slot = self.take_uint(width)?;
        self.memoise(slot)
    }

    fn memoise(&mut self, slot: usize) -> Result<(), WeightsError> {
        if slot >= self.max {
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

    /// The object on top of the stack, which items are added to.
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

    /// A persistent id: `("storage", type, key, device, length, view)`, the last one not in zip
    /// files.
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

    /// Drops the state of an ordered dict. PyTorch's `_metadata` is not about the numbers.
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

/// A little-endian two's complement integer; [`Value::Number`] where it does not fit into `i64`.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Number;
    }
    let negative = bytes.last().is_some_and(|top| top & 0x80 != 0);
    let mut wide = [if negative { 0xFF } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}
