//! Writes ONNX models of a few hundred bytes, to test models of every shape without weights.
//!
//! A model looks its `input_ids` up in a table of vectors (`Gather`): the vector of a token is its
//! row of the table, so every result can be worked out by hand. Field numbers are those of
//! onnx.proto.

use std::path::Path;

/// Element types of onnx.proto.
pub const FLOAT: u64 = 1;
pub const INT32: u64 = 6;
pub const INT64: u64 = 7;

/// A vocabulary of eight tokens for `vocab.txt`.
pub const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\nnever\n";

pub struct TinyModel<'a> {
    /// Row t is the vector of token t.
    pub table: Vec<[f32; 2]>,
    /// Names and element types; all of shape `[batch, sequence]`.
    pub inputs: Vec<(&'a str, u64)>,
    /// Names of outputs: `pooler_output` and `sentence_embedding` are the mean over all tokens
    /// (2-D), `count` is the ids themselves (int64), others the token vectors (3-D).
    pub outputs: Vec<&'a str>,
    /// Whether the file says that vectors have two numbers.
    pub states_dimension: bool,
}

impl Default for TinyModel<'_> {
    fn default() -> Self {
        Self {
            // [CLS] and [SEP] add nothing; hello and world point in different directions.
            table: vec![
                [9.0, 9.0],
                [0.0, 0.0],
                [0.0, 0.0],
                [0.0, 0.0],
                [0.0, 0.0],
                [1.0, 0.0],
                [0.0, 1.0],
            ],
            inputs: vec![("input_ids", INT64), ("attention_mask", INT64)],
            outputs: vec!["last_hidden_state"],
            states_dimension: true,
        }
    }
}

impl TinyModel<'_> {
    /// Writes `model.onnx` and `vocab.txt`.
    pub fn write(&self, folder: &Path) {
        std::fs::write(folder.join("model.onnx"), self.bytes()).unwrap();
        std::fs::write(folder.join("vocab.txt"), VOCABULARY).unwrap();
    }

    fn bytes(&self) -> Vec<u8> {
        let mut graph = string(2, "tiny");
        // The other nodes read the token vectors, whether these are an output or not.
        graph.extend(message(1, &node("last_hidden_state")));
        for &output in self
            .outputs
            .iter()
            .filter(|name| **name != "last_hidden_state")
        {
            graph.extend(message(1, &node(output)));
        }
        graph.extend(message(5, &self.table_tensor()));
        for &(name, element) in &self.inputs {
            graph.extend(message(11, &value_info(name, element, &[None, None])));
        }
        let d = self.states_dimension.then_some(2);
        for &output in &self.outputs {
            let (element, shape) = match output {
                "count" => (INT64, vec![None, None]),
                "pooler_output" | "sentence_embedding" => (FLOAT, vec![None, d]),
                _ => (FLOAT, vec![None, None, d]),
            };
            graph.extend(message(12, &value_info(output, element, &shape)));
        }
        let opset = [string(1, ""), number(2, 13)].concat();
        [number(1, 8), message(8, &opset), message(7, &graph)].concat()
    }

    fn table_tensor(&self) -> Vec<u8> {
        let raw: Vec<u8> = self
            .table
            .iter()
            .flatten()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let dims = [number(1, self.table.len() as u64), number(1, 2)].concat();
        [dims, number(2, FLOAT), string(8, "table"), message(9, &raw)].concat()
    }
}

fn node(output: &str) -> Vec<u8> {
    let op = |inputs: &[&str], output: &str, kind: &str| {
        let inputs: Vec<u8> = inputs.iter().flat_map(|name| string(1, name)).collect();
        [inputs, string(2, output), string(4, kind)].concat()
    };
    match output {
        "count" => op(&["input_ids"], output, "Identity"),
        "pooler_output" | "sentence_embedding" => {
            let axes = [string(1, "axes"), number(8, 1), number(20, 7)].concat();
            let keep = [string(1, "keepdims"), number(3, 0), number(20, 2)].concat();
            let mean = op(&["last_hidden_state"], output, "ReduceMean");
            [mean, message(5, &axes), message(5, &keep)].concat()
        }
        _ => op(&["table", "input_ids"], output, "Gather"),
    }
}

fn value_info(name: &str, element: u64, shape: &[Option<u64>]) -> Vec<u8> {
    let dims: Vec<u8> = shape
        .iter()
        .map(|dim| dim.map(|size| number(1, size)).unwrap_or_default())
        .flat_map(|dim| message(1, &dim))
        .collect();
    let tensor = [number(1, element), message(2, &dims)].concat();
    [string(1, name), message(2, &message(1, &tensor))].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn message(field: u64, content: &[u8]) -> Vec<u8> {
    [
        &varint(field << 3 | 2),
        &varint(content.len() as u64),
        content,
    ]
    .concat()
}

fn string(field: u64, text: &str) -> Vec<u8> {
    message(field, text.as_bytes())
}
