//! A second opinion: the plainest inflater, which has the whole message before it.

/// The stream of messages as a slow and simple receiver reads it.
pub struct Reference {
    /// What came out since the stream began.
    history: Vec<u8>,
    window: usize,
    takeover: bool,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Code length and symbol of each code, ordered as codes are.
struct Table(Vec<(u32, usize)>);

type Outcome<T> = Result<T, &'static str>;

impl Reference {
    pub fn new(window_bits: u8, takeover: bool) -> Self {
        Self {
            history: Vec::new(),
            window: 1 << window_bits,
            takeover,
        }
    }

    /// Inflates a whole message, which must end where RFC 7692 says.
    pub fn inflate(&mut self, payload: &[u8]) -> Outcome<Vec<u8>> {
        let mut message = Vec::new();
        let mut reader = Reader {
            bytes: payload,
            at: 0,
        };
        let mut after_last = true;
        while !(after_last && reader.at == payload.len() * 8) {
            after_last = reader.bits(1)? == 1;
            match reader.bits(2)? {
                0 => {
                    reader.at = reader.at.next_multiple_of(8);
                    if reader.at == payload.len() * 8 {
                        if after_last {
                            self.history.clear();
                        }
                        break;
                    }
                    let (length, check) = (reader.bits(16)?, reader.bits(16)?);
                    if length ^ check != 0xffff {
                        return Err("stored lengths");
                    }
                    for _ in 0..length {
                        let byte = reader.bits(8)? as u8;
                        self.push(byte, &mut message);
                    }
                }
                1 => {
                    let literals: Vec<_> = (0..288)
                        .map(|it| {
                            if it < 144 {
                                8
                            } else if it < 256 {
                                9
                            } else {
                                7 + it / 280
                            }
                        })
                        .collect();
                    let (literals, distances) = (Table::new(&literals), Table::new(&[5; 32]));
                    self.symbols(&mut reader, &literals, &distances, &mut message)?;
                }
                2 => {
                    let (literals, distances) = reader.tables()?;
                    self.symbols(&mut reader, &literals, &distances, &mut message)?;
                }
                _ => return Err("block type"),
            }
            if after_last {
                reader.at = reader.at.next_multiple_of(8);
                self.history.clear();
            }
        }
        if !self.takeover {
            self.history.clear();
        }
        Ok(message)
    }

    fn push(&mut self, byte: u8, message: &mut Vec<u8>) {
        self.history.push(byte);
        message.push(byte);
    }

    fn symbols(
        &mut self,
        reader: &mut Reader<'_>,
        literals: &Table,
        distances: &Table,
        message: &mut Vec<u8>,
    ) -> Outcome<()> {
        loop {
            let symbol = literals.decode(reader)?;
            if symbol < 256 {
                self.push(symbol as u8, message);
                continue;
            }
            if symbol == 256 {
                return Ok(());
            }
            let (base, extra) = match symbol - 257 {
                it @ 0..8 => (it + 3, 0),
                28 => (258, 0),
                it @ 8..28 => (3 + ((4 + it % 4) << (it / 4 - 1)), it / 4 - 1),
                _ => return Err("length symbol"),
            };
            let length = base + reader.bits(extra)?;
            let (base, extra) = match distances.decode(reader)? {
                it @ 0..4 => (it + 1, 0),
                it @ 4..30 => (1 + ((2 + it % 2) << (it / 2 - 1)), it / 2 - 1),
                _ => return Err("distance symbol"),
            };
            let distance = base + reader.bits(extra)?;
            if distance > self.window || distance > self.history.len() {
                return Err("distance");
            }
            for _ in 0..length {
                let byte = self.history[self.history.len() - distance];
                self.push(byte, message);
            }
        }
    }
}

impl Reader<'_> {
    fn bits(&mut self, count: usize) -> Outcome<usize> {
        let mut value = 0;
        for at in 0..count {
            let byte = self.bytes.get(self.at / 8).ok_or("the end")?;
            value |= usize::from(byte >> (self.at % 8) & 1) << at;
            self.at += 1;
        }
        Ok(value)
    }

    fn tables(&mut self) -> Outcome<(Table, Table)> {
        let (literals, distances) = (self.bits(5)? + 257, self.bits(5)? + 1);
        let meta = self.bits(4)? + 4;
        if literals > 286 || distances > 30 {
            return Err("too many symbols");
        }
        let mut lengths = [0; 19];
        let order = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        for symbol in &order[..meta] {
            lengths[*symbol] = self.bits(3)? as u32;
        }
        let code = Table::new(&lengths);
        if code.missing() != 0 {
            return Err("code lengths set");
        }
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (length, times) = match code.decode(self)? {
                16 => (*lengths.last().ok_or("repeats nothing")?, 3 + self.bits(2)?),
                17 => (0, 3 + self.bits(3)?),
                18 => (0, 11 + self.bits(7)?),
                length => (length as u32, 1),
            };
            lengths.extend(std::iter::repeat_n(length, times));
        }
        if lengths.len() > literals + distances || lengths[256] == 0 {
            return Err("lengths");
        }
        let (literals, distances) = lengths.split_at(literals);
        let (literals, distances) = (Table::new(literals), Table::new(distances));
        for table in [&literals, &distances] {
            // A lone code may be of one bit; and where there are no distances, no codes.
            let single = table.0.iter().all(|(length, _)| *length == 1);
            if table.missing() < 0 || table.missing() > 0 && !single {
                return Err("set of codes");
            }
        }
        Ok((literals, distances))
    }
}

impl Table {
    fn new(lengths: &[u32]) -> Self {
        let mut codes: Vec<_> = lengths
            .iter()
            .copied()
            .zip(0..)
            .filter(|(length, _)| *length > 0)
            .collect();
        codes.sort_unstable();
        Self(codes)
    }

    /// The part of all 15-bit words that no code begins; negative if codes overlap.
    fn missing(&self) -> i32 {
        (1 << 15)
            - self
                .0
                .iter()
                .map(|(length, _)| 1 << (15 - length))
                .sum::<i32>()
    }

    fn decode(&self, reader: &mut Reader<'_>) -> Outcome<usize> {
        let (mut code, mut read) = (0, 0);
        let (mut next, mut next_length) = (0, 0);
        for (length, symbol) in &self.0 {
            next <<= length - next_length;
            next_length = *length;
            while read < *length {
                code = code << 1 | reader.bits(1)?;
                read += 1;
            }
            if code == next {
                return Ok(*symbol);
            }
            next += 1;
        }
        Err("code")
    }
}
