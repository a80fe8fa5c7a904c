//! GGUF files as they are written, byte by byte as the format has them.

/// A GGUF header as it is written.
#[derive(Clone)]
pub struct Writer {
    pub entries: u64,
    pub metadata: Vec<u8>,
    pub tensors: u64,
    pub table: Vec<u8>,
    pub data: u64,
    /// Number of the matrices' type, its block and its bytes.
    pub kind: (u32, u64, u64),
}

pub const F16: (u32, u64, u64) = (1, 1, 2);
pub const Q5_1: (u32, u64, u64) = (7, 32, 24);

pub fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

impl Writer {
    pub fn new() -> Writer {
        Writer { entries: 0, metadata: Vec::new(), tensors: 0, table: Vec::new(), data: 0, kind: F16 }
    }

    pub fn entry(&mut self, key: &str, kind: u32, value: &[u8]) {
        text(&mut self.metadata, key);
        self.metadata.extend(kind.to_le_bytes());
        self.metadata.extend(value);
        self.entries += 1;
    }

    pub fn number(&mut self, key: &str, value: u32) {
        self.entry(key, 4, &value.to_le_bytes());
    }

    pub fn short(&mut self, key: &str, value: u16) {
        self.entry(key, 2, &value.to_le_bytes());
    }

    pub fn word(&mut self, key: &str, value: &str) {
        let mut bytes = Vec::new();
        text(&mut bytes, value);
        self.entry(key, 8, &bytes);
    }

    pub fn words(&mut self, key: &str, count: u64) {
        let mut bytes = 8_u32.to_le_bytes().to_vec();
        bytes.extend(count.to_le_bytes());
        (0..count).for_each(|i| text(&mut bytes, &format!("token {i}")));
        self.entry(key, 9, &bytes);
    }

    /// A matrix of the kind, a vector of 16-bit floats; `shape` outermost first.
    pub fn tensor(&mut self, name: &str, shape: &[u64]) {
        text(&mut self.table, name);
        self.table.extend((shape.len() as u32).to_le_bytes());
        shape.iter().rev().for_each(|n| self.table.extend(n.to_le_bytes()));
        let (kind, block, bytes) = if shape.len() > 1 { self.kind } else { F16 };
        self.table.extend(kind.to_le_bytes());
        self.table.extend(self.data.to_le_bytes());
        self.data += (bytes * shape.iter().product::<u64>() / block).next_multiple_of(32);
        self.tensors += 1;
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3_u32.to_le_bytes());
        out.extend(self.tensors.to_le_bytes());
        out.extend(self.entries.to_le_bytes());
        out.extend(&self.metadata);
        out.extend(&self.table);
        out.resize(out.len().next_multiple_of(32) + self.data as usize, 0);
        out
    }
}

/// A small Llama: its metadata.
pub fn llama() -> Writer {
    let mut file = Writer::new();
    file.word("general.architecture", "llama");
    for (key, value) in [
        ("block_count", 2),
        ("embedding_length", 64),
        ("feed_forward_length", 96),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
        ("context_length", 2048),
    ] {
        file.number(&format!("llama.{key}"), value);
    }
    file.words("tokenizer.ggml.tokens", 20);
    file
}

pub fn layer(file: &mut Writer, i: u32) {
    for (name, shape) in [
        ("attn_q", [64, 64]),
        ("attn_k", [32, 64]),
        ("attn_v", [32, 64]),
        ("attn_output", [64, 64]),
        ("ffn_gate", [96, 64]),
        ("ffn_up", [96, 64]),
        ("ffn_down", [64, 96]),
    ] {
        file.tensor(&format!("blk.{i}.{name}.weight"), &shape);
    }
    file.tensor(&format!("blk.{i}.attn_norm.weight"), &[64]);
    file.tensor(&format!("blk.{i}.ffn_norm.weight"), &[64]);
}

pub fn ends(file: &mut Writer) {
    file.tensor("token_embd.weight", &[1000, 64]);
    file.tensor("output_norm.weight", &[64]);
    file.tensor("output.weight", &[1000, 64]);
}

pub fn whole() -> Writer {
    let mut file = llama();
    ends(&mut file);
    layer(&mut file, 0);
    layer(&mut file, 1);
    file
}
