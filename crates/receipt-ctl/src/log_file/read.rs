//! A file of records that is read.

use std::{
    fmt,
    io::{self, BufRead, Read as _},
};

use prost::Message as _;
use receipt_log::StoredRecord;
use receipt_proto::v1::{self, log_file_frame::Frame};

use super::{FRAME_MAX_BYTES, Format, Header, Section, Trailer, counts, json};
use crate::source::stored;

/// Where a file is wrong, and how.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub(crate) struct FileError {
    place: String,
    /// It ends in the middle of something.
    pub(crate) cut_short: bool,
    problem: String,
}

/// Reads a header, records and a trailer.
pub(crate) struct Reader<R> {
    input: R,
    pub(crate) format: Format,
    pub(crate) header: Header,
    /// Of all that is read, but the trailer.
    digest: blake3::Hasher,
    /// What is read, in bytes and in frames or lines.
    bytes: u64,
    frames: u64,
    pub(crate) records: u64,
    /// The section of the last record, and the next offset in it.
    at: (u32, u64),
    buffer: Vec<u8>,
    trailer: Option<Trailer>,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    pub(crate) fn open(mut input: R) -> Result<Self, FileError> {
        let start = |problem: String| FileError { place: "the beginning".to_owned(), cut_short: false, problem };
        let first = input.fill_buf().map_err(|why| start(why.to_string()))?;
        // A frame begins with its length, and then with the header's field.
        let format =
            if first.starts_with(b"{") && first.get(1) != Some(&0x0a) { Format::Jsonl } else { Format::Protobuf };
        let header = Header::new(String::new(), String::new(), 1, Vec::new());
        let (digest, buffer) = (blake3::Hasher::new(), Vec::new());
        let mut reader =
            Self { input, format, header, digest, bytes: 0, frames: 0, records: 0, at: (0, 0), buffer, trailer: None };
        let header = match reader.next_frame()? {
            Some(Read::Header(header)) => header,
            Some(_) => return Err(reader.wrong("a file of a log begins with a header")),
            None => return Err(reader.cut_short()),
        };
        header.check().map_err(|why| reader.wrong(why))?;
        reader.header = header;
        Ok(reader)
    }

    /// The next record, and the number of its section; `None` after the trailer, which must come.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, StoredRecord)>, FileError> {
        match self.next_frame()? {
            Some(Read::Record(number, record)) => self.in_order(number, record).map(Some),
            Some(Read::Trailer(trailer)) => {
                self.trailer = Some(trailer);
                let mut rest = [0];
                match self.input.read(&mut rest) {
                    Ok(0) => Ok(None),
                    Ok(_) => Err(self.wrong("more follows after the trailer")),
                    Err(why) => Err(self.wrong(why)),
                }
            }
            Some(Read::Header(_)) => Err(self.wrong("a second header")),
            None => Err(self.cut_short()),
        }
    }

    /// Whether the trailer is that of what was read.
    pub(crate) fn check_trailer(&self) -> Result<(), FileError> {
        let Some(Trailer { records, blake3 }) = &self.trailer else { return Err(self.cut_short()) };
        if *records != self.records {
            return Err(
                self.wrong(format_args!("the trailer counts {records} records, and there are {}", self.records))
            );
        }
        if *blake3 != self.digest.finalize().to_hex().as_str() {
            return Err(self.wrong("the digest in the trailer is not that of the file: it was changed or damaged"));
        }
        Ok(())
    }

    /// Where to go on writing after what was read: bytes, their digest, and the section and offset that come next.
    pub(crate) fn so_far(&self) -> (u64, blake3::Hasher, (u32, u64)) {
        (self.bytes, self.digest.clone(), self.at)
    }

    /// The section with a number.
    pub(crate) fn section(&self, number: u32) -> Option<&Section> {
        self.header.sections.get(usize::try_from(number).ok()?)
    }

    /// What is wrong with the frame or line that was read last.
    pub(crate) fn wrong(&self, problem: impl fmt::Display) -> FileError {
        self.error(false, problem)
    }

    fn cut_short(&self) -> FileError {
        self.error(true, "the file ends before its trailer: it was cut short")
    }

    fn error(&self, cut_short: bool, problem: impl fmt::Display) -> FileError {
        let what = if self.format == Format::Jsonl { "line" } else { "frame" };
        FileError { place: format!("{what} {}", self.frames), cut_short, problem: problem.to_string() }
    }

    /// Records come by section, and in each by offset.
    fn in_order(&mut self, number: u32, record: StoredRecord) -> Result<(u32, StoredRecord), FileError> {
        let Some(Section { topic, partition, from_offset, to_offset }) = self.section(number).cloned() else {
            return Err(self.wrong(format_args!("there is no section {number}")));
        };
        let offset = record.offset;
        let next = if number == self.at.0 { self.at.1.max(from_offset) } else { from_offset };
        if number < self.at.0 || offset < next || offset >= to_offset {
            return Err(self.wrong(format_args!(
                "offset {offset} of {topic}/{partition} is out of order, or not within {from_offset} to {to_offset}"
            )));
        }
        self.at = (number, offset + 1);
        self.records += 1;
        Ok((number, record))
    }

    /// The next frame or line; `None` where the file ends.
    fn next_frame(&mut self) -> Result<Option<Read>, FileError> {
        self.frames += 1;
        self.buffer.clear();
        let is_read = match self.format {
            Format::Protobuf => self.read_frame()?,
            Format::Jsonl => self.read_line()?,
        };
        if !is_read {
            return Ok(None);
        }
        let read = match self.format {
            Format::Protobuf => self.decode_frame(),
            Format::Jsonl => self.decode_line(),
        };
        let read = read.map_err(|why| self.wrong(format_args!("{why:#}")))?;
        if !matches!(read, Read::Trailer(_)) {
            self.digest.update(&self.buffer);
            self.bytes += self.buffer.len() as u64;
        }
        Ok(Some(read))
    }

    /// Reads a length and as many bytes; both stand in the buffer.
    fn read_frame(&mut self) -> Result<bool, FileError> {
        let mut length = 0_u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            match self.input.read(&mut byte) {
                Ok(0) if self.buffer.is_empty() => return Ok(false),
                Ok(0) => return Err(self.cut_short()),
                Ok(_) => {}
                Err(why) => return Err(self.io(&why)),
            }
            self.buffer.extend(byte);
            length |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        if length > FRAME_MAX_BYTES {
            return Err(self.wrong(format_args!("it has {length} bytes, and at most {FRAME_MAX_BYTES} are allowed")));
        }
        // Grows as bytes come, and not because the length says so.
        match (&mut self.input).take(length).read_to_end(&mut self.buffer) {
            Ok(read) if read as u64 == length => Ok(true),
            Ok(_) => Err(self.cut_short()),
            Err(why) => Err(self.io(&why)),
        }
    }

    /// Reads up to and with the end of the line.
    fn read_line(&mut self) -> Result<bool, FileError> {
        match (&mut self.input).take(FRAME_MAX_BYTES).read_until(b'\n', &mut self.buffer) {
            Err(why) => Err(self.io(&why)),
            Ok(0) => Ok(false),
            Ok(_) if self.buffer.ends_with(b"\n") => Ok(true),
            Ok(read) if read as u64 == FRAME_MAX_BYTES => {
                Err(self.wrong(format_args!("it has more than {FRAME_MAX_BYTES} bytes")))
            }
            Ok(_) => Err(self.cut_short()),
        }
    }

    /// A compressed file that ends too early is an error of whoever decompresses it.
    fn io(&self, why: &io::Error) -> FileError {
        if why.kind() == io::ErrorKind::UnexpectedEof { self.cut_short() } else { self.wrong(why) }
    }

    fn decode_frame(&self) -> anyhow::Result<Read> {
        let mut frame = self.buffer.as_slice();
        prost::encoding::decode_varint(&mut frame)?;
        counts::check_frame(frame)?;
        let frame = v1::LogFileFrame::decode(frame)?;
        Ok(match frame.frame {
            Some(Frame::Header(header)) => Read::Header(header.try_into()?),
            Some(Frame::Record(v1::LogFileRecord { section, record })) => {
                Read::Record(section, stored(record.unwrap_or_default()))
            }
            Some(Frame::Trailer(v1::LogFileTrailer { records, blake3 })) => {
                if blake3.len() > blake3::OUT_LEN {
                    anyhow::bail!("its digest has {} bytes, and may have {}", blake3.len(), blake3::OUT_LEN);
                }
                let blake3 = blake3.iter().map(|byte| format!("{byte:02x}")).collect();
                Read::Trailer(Trailer { records, blake3 })
            }
            None => anyhow::bail!("it is of no kind that this receiptctl knows"),
        })
    }

    fn decode_line(&self) -> anyhow::Result<Read> {
        let line = &self.buffer;
        if line.starts_with(json::BEGINNING) {
            return Ok(match json::read_frame(line)? {
                json::Frame::Header(header) => Read::Header(header),
                json::Frame::Trailer(trailer) => Read::Trailer(trailer),
            });
        }
        let (place, record) = json::read_record(line)?;
        let mut sections = (0..).zip(&self.header.sections);
        match sections.find(|(_, section)| (section.topic, section.partition) == place) {
            Some((number, _)) => Ok(Read::Record(number, record)),
            None => anyhow::bail!("{}/{} is not one of the header's sections", place.0, place.1),
        }
    }
}

/// What a frame or line holds.
enum Read {
    Header(Header),
    Record(u32, StoredRecord),
    Trailer(Trailer),
}
