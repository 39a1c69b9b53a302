//! The part of Python's pickle language in which plain values are written, as data.
//!
//! A pickle is a program that Python obeys, down to calling any function it names. This reader has
//! no way to call anything: it knows lists, tuples, dicts, text and numbers, and an opcode that
//! names or calls something is an error.
//!
//! - **Source:** the opcodes as the comments of CPython's `pickletools` describe them.
//! - **Limits:** a file makes no more values than [`most_values`] of its length; objects point to
//!   each other by number, so no depth and no circle costs stack.

/// Most values that a pickle of this length may make, and most that it may remember. The floats of
/// embeddings take nine bytes of a file each.
fn most_values(file_len: usize) -> usize {
    (1 << 12) + file_len / 5
}

/// A value; what has parts is the number of an [`Object`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    None,
    Bool,
    Number(f64),
    Object(u32),
}

/// What values point to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Object {
    Text(String),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Dict(Vec<(Value, Value)>),
}

/// What a pickle made.
pub(crate) struct Pickle {
    pub(crate) value: Value,
    objects: Vec<Object>,
}

impl Pickle {
    pub(crate) fn object(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(number) => self.objects.get(number as usize),
            _ => None,
        }
    }

    pub(crate) fn text(&self, value: Value) -> Option<&str> {
        match self.object(value) {
            Some(Object::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// Reads the pickle at the start of `bytes`.
pub(crate) fn load(bytes: &[u8]) -> Result<Pickle, String> {
    let values_left = most_values(bytes.len());
    let mut machine = Machine { bytes, values_left, ..Machine::default() };
    let value = machine.run()?;
    Ok(Pickle { value, objects: machine.objects })
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many values may still be made.
    values_left: usize,
    objects: Vec<Object>,
    stack: Vec<Value>,
    /// Heights of the stack at which a mark was set.
    marks: Vec<usize>,
    memo: Vec<Value>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Value, String> {
        loop {
            match self.take(1)?[0] {
                b'.' => return self.pop(),
                opcode => self.step(opcode)?,
            }
        }
    }

    /// Obeys one opcode, other than the one that ends the pickle. Fails where its arguments or what
    /// it takes from the stack are missing, and where it is none that writes plain values.
    fn step(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => {
                self.count_value()?;
                self.marks.push(self.stack.len());
            }
            b'q' | b'r' => {
                let slot = self.uint(if opcode == b'q' { 1 } else { 4 })?;
                self.remember(slot)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'h' | b'j' => {
                let slot = self.uint(if opcode == b'h' { 1 } else { 4 })?;
                let value = self.memo.get(slot).copied();
                self.push(value.ok_or("it recalls what it never had")?)?;
            }
            b'N' => self.push(Value::None)?,
            0x88 | 0x89 => self.push(Value::Bool)?,
            b'G' => {
                let bytes = self.take(8)?.first_chunk().copied().unwrap_or_default();
                self.push(Value::Number(f64::from_be_bytes(bytes)))?;
            }
            b'K' | b'M' | b'J' | 0x8a => self.whole(opcode)?,
            b'X' | 0x8c | 0x8d | b'U' | b'T' => self.text(opcode)?,
            b']' => self.make(Object::List(Vec::new()))?,
            b'}' => self.make(Object::Dict(Vec::new()))?,
            b')' => self.make(Object::Tuple(Vec::new()))?,
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.make(Object::Tuple(items))?;
            }
            b't' | b'l' | b'd' => {
                let items = self.above_mark()?;
                self.make(match opcode {
                    b't' => Object::Tuple(items),
                    b'l' => Object::List(items),
                    _ => Object::Dict(pairs(&items)?),
                })?;
            }
            b'a' | b'e' => {
                let items = if opcode == b'a' { vec![self.pop()?] } else { self.above_mark()? };
                self.append(items)?;
            }
            b's' | b'u' => {
                let items = if opcode == b's' {
                    let value = self.pop()?;
                    vec![self.pop()?, value]
                } else {
                    self.above_mark()?
                };
                self.set_items(&items)?;
            }
            b'c' | 0x93 | b'R' | b'i' | b'o' | b'b' | 0x81 | 0x92 => {
                return Err("it holds an object that only running it would make, and nothing \
                                is run here; save plain lists of floats"
                    .into());
            }
            other => return Err(format!("it has the opcode {other:#04x}")),
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("it ends early")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn uint(&mut self, width: usize) -> Result<usize, String> {
        let bytes = self.take(width)?;
        let number = bytes.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        usize::try_from(number).map_err(|e| e.to_string())
    }

    fn whole(&mut self, opcode: u8) -> Result<(), String> {
        let number = match opcode {
            b'K' => self.uint(1)? as f64,
            b'M' => self.uint(2)? as f64,
            b'J' => f64::from(self.uint(4)? as u32 as i32),
            _ => {
                let width = self.uint(1)?;
                let bytes = self.take(width)?;
                let size = bytes.iter().rev().fold(0.0, |sum, byte| sum * 256.0 + f64::from(*byte));
                let negative = bytes.last().is_some_and(|top| top & 0x80 != 0);
                if negative { size - 256f64.powi(width as i32) } else { size }
            }
        };
        self.push(Value::Number(number))
    }

    /// Makes the text that follows an opcode and its length. What is no UTF-8 in it is replaced.
    fn text(&mut self, opcode: u8) -> Result<(), String> {
        let width = match opcode {
            0x8c | b'U' => 1,
            0x8d => 8,
            _ => 4,
        };
        let length = self.uint(width)?;
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.make(Object::Text(text))
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        self.count_value()?;
        self.stack.push(value);
        Ok(())
    }

    fn count_value(&mut self) -> Result<(), String> {
        let left = self.values_left.checked_sub(1);
        self.values_left = left.ok_or("it makes more values than its length allows")?;
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, String> {
        // What lies below a mark belongs to whoever set it.
        let floor = self.marks.last().copied().unwrap_or(0);
        let value = if self.stack.len() > floor { self.stack.pop() } else { None };
        value.ok_or_else(|| "it takes more than it has".into())
    }

    /// The last `count` values of the stack, in their order.
    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let from = self.stack.len().checked_sub(count).filter(|from| *from >= floor);
        Ok(self.stack.split_off(from.ok_or("it takes more than it has")?))
    }

    fn above_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().ok_or("it misses a mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, slot: usize) -> Result<(), String> {
        let value = self.stack.last().copied().ok_or("it remembers nothing")?;
        // Slots are given in order.
        if slot > most_values(self.bytes.len()) {
            return Err("it remembers too much".into());
        }
        if slot >= self.memo.len() {
            self.memo.resize(slot + 1, Value::None);
        }
        self.memo[slot] = value;
        Ok(())
    }

    fn make(&mut self, object: Object) -> Result<(), String> {
        let number = u32::try_from(self.objects.len()).map_err(|_| "it makes too many objects")?;
        self.objects.push(object);
        self.push(Value::Object(number))
    }

    fn append(&mut self, items: Vec<Value>) -> Result<(), String> {
        match self.top()? {
            Object::List(list) => list.extend(items),
            _ => return Err("it appends to what is no list".into()),
        }
        Ok(())
    }

    /// Sets items of a dict, given as key, value, key, value and so on.
    fn set_items(&mut self, items: &[Value]) -> Result<(), String> {
        match self.top()? {
            Object::Dict(dict) => dict.extend(pairs(items)?),
            _ => return Err("it sets items of what is no dict".into()),
        }
        Ok(())
    }

    /// The object that the items above it on the stack are put into.
    fn top(&mut self) -> Result<&mut Object, String> {
        match self.stack.last() {
            Some(Value::Object(number)) => Ok(&mut self.objects[*number as usize]),
            _ => Err("it puts items into nothing".into()),
        }
    }
}

fn pairs(items: &[Value]) -> Result<Vec<(Value, Value)>, String> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("it has a key without a value".into());
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}
