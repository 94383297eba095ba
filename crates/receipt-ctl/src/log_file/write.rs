//! A file of records in the making.

use std::io::{self, Write};

use prost::Message as _;
use receipt_log::StoredRecord;
use receipt_proto::v1::{self, log_file_frame::Frame};

use super::{Format, Header, Section, Trailer, json};
use crate::source::of_contract;

/// Writes a header, records and a trailer.
pub(crate) struct Writer<W> {
    out: W,
    format: Format,
    digest: blake3::Hasher,
    records: u64,
    /// A frame or line on its way.
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// A new file.
    pub(crate) fn new(out: W, format: Format, header: &Header) -> io::Result<Self> {
        let mut writer = Self::after(out, format, blake3::Hasher::new(), 0);
        match format {
            Format::Protobuf => writer.frame(Frame::Header(header.into()))?,
            Format::Jsonl => {
                json::header(&mut writer.buffer, header)?;
                writer.flush_buffer()?;
            }
        }
        Ok(writer)
    }

    /// Goes on after bytes that have this digest, and hold so many records.
    pub(crate) fn after(out: W, format: Format, digest: blake3::Hasher, records: u64) -> Self {
        Self { out, format, digest, records, buffer: Vec::new() }
    }

    /// The next record, of the section with this number.
    pub(crate) fn record(&mut self, number: u32, section: &Section, record: &StoredRecord) -> io::Result<()> {
        self.records += 1;
        match self.format {
            Format::Protobuf => {
                let record = Some(of_contract(record));
                self.frame(Frame::Record(v1::LogFileRecord { section: number, record }))
            }
            Format::Jsonl => {
                json::record(&mut self.buffer, section, record)?;
                self.flush_buffer()
            }
        }
    }

    /// Ends the file; how many records are in it.
    pub(crate) fn finish(mut self) -> io::Result<(W, u64)> {
        let digest = self.digest.finalize();
        match self.format {
            Format::Protobuf => {
                let blake3 = digest.as_bytes().to_vec();
                self.frame(Frame::Trailer(v1::LogFileTrailer { records: self.records, blake3 }))?;
            }
            Format::Jsonl => {
                let trailer = Trailer { records: self.records, blake3: digest.to_hex().to_string() };
                json::trailer(&mut self.buffer, &trailer)?;
                self.flush_buffer()?;
            }
        }
        self.out.flush()?;
        Ok((self.out, self.records))
    }

    /// Hands on what is written so far.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn frame(&mut self, frame: Frame) -> io::Result<()> {
        let frame = v1::LogFileFrame { frame: Some(frame) };
        frame.encode_length_delimited(&mut self.buffer).map_err(io::Error::other)?;
        self.flush_buffer()
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        self.digest.update(&self.buffer);
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}
