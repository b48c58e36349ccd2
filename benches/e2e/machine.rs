//! The server that is measured, and what processes have used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::{Result, cluster};

/// As a server of its size would be set up; without parallel plans, so that a connection is a core.
const CONF: &str = "shared_buffers = 2GB\nwork_mem = 64MB\njit = off\nmax_parallel_workers_per_gather = 0\n\
                    temp_file_limit = -1\nwal_level = minimal\nmax_wal_senders = 0\nmax_wal_size = 4GB\nwal_keep_size = 0";

/// A PostgreSQL server on this machine, with a database `bench`.
pub(crate) struct Server {
    /// Directory of its socket; `data` is below it.
    dir: PathBuf,
    port: u16,
}

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Wall-clock seconds.
    pub(crate) wall: f64,
    /// Seconds of processor time of the program that read.
    pub(crate) client: f64,
    /// Seconds of processor time of the server's processes.
    pub(crate) backend: f64,
    /// Peak resident memory of the reader, MiB; 0 when it did not tell.
    pub(crate) rss: f64,
    /// Milliseconds until the first bytes were written; 0 when it did not tell.
    pub(crate) first: f64,
    /// Resources written; 0 when it did not tell.
    pub(crate) resources: f64,
    /// Bytes written; 0 when it did not tell.
    pub(crate) bytes: f64,
}

impl Server {
    /// Starts one that ends with this process.
    pub(crate) fn start() -> Self {
        let cluster = cluster::Cluster::start_with(CONF);
        let server = Self { dir: cluster.dir.clone(), port: cluster.port };
        // The cluster lives as long as the process.
        std::mem::forget(cluster);
        server
    }

    /// One that runs already, with its socket in `dir` and its data in `dir/data`.
    pub(crate) fn running(dir: &Path) -> Result<Self> {
        let pid = fs::read_to_string(dir.join("data/postmaster.pid"))?;
        let port = pid.lines().nth(3).ok_or("postmaster.pid is short")?.parse()?;
        Ok(Self { dir: dir.to_owned(), port })
    }

    /// A connection URL for `database`.
    pub(crate) fn url(&self) -> String {
        format!("postgresql://postgres@/bench?host={}&port={}", self.dir.display(), self.port)
    }

    /// `psql` on the database, quiet, stopping at the first error.
    pub(crate) fn psql(&self, schema: &str) -> Command {
        let mut command = Command::new("psql");
        command
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1"])
            .env("PGHOST", &self.dir)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", "bench")
            .env("PGOPTIONS", format!("-c search_path={schema} -c TimeZone=UTC"))
            .stdin(Stdio::null());
        command
    }

    /// The answer to `sql`, columns parted by `|`.
    pub(crate) fn query(&self, sql: &str) -> Result<String> {
        let output = self.psql("public").args(["-At", "-c", sql]).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Loads the demo and makes the stores that are not there yet.
    pub(crate) fn fill(&self, copies: &[(&str, u32)]) -> Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let exists = |schema: &str| {
            Ok::<_, Box<dyn std::error::Error>>(
                self.query(&format!("select count(*) from pg_namespace where nspname = '{schema}'"))? == "1",
            )
        };
        let run = |command: &mut Command| -> Result<()> {
            if command.stdout(Stdio::null()).status()?.success() {
                Ok(())
            } else {
                Err("the store was not made".into())
            }
        };
        if self.psql("public").args(["-c", ""]).stderr(Stdio::null()).status()?.success() {
            eprintln!("using database bench");
        } else {
            run(self.psql("public").env("PGDATABASE", "postgres").args(["-c", "create database bench"]))?;
        }
        if !exists("synthea")? {
            eprintln!("loading the demo");
            let mut load = Command::new("bash");
            for (name, value) in self.psql("public").get_envs() {
                if let Some(value) = value.filter(|_| name != "PGOPTIONS") {
                    load.env(name, value);
                }
            }
            run(load.arg(root.join("sql/demo/load.sh")))?;
        }
        for (schema, copies) in copies {
            if !exists(schema)? {
                eprintln!("making {schema}: {copies} copies of every patient");
                let target = [format!("target={schema}"), format!("copies={copies}")];
                let mut scale = self.psql("public");
                scale.args(["-v", "every=17", "-v"]).arg(&target[0]).arg("-v").arg(&target[1]);
                run(scale.arg("-f").arg(root.join("benches/e2e/sql/scale.sql")))?;
            }
        }
        Ok(())
    }

    /// Runs commands one after the other, and says what all of them took. Lines `NAME NUMBER` that a command prints
    /// on standard error are what it knows of itself.
    pub(crate) fn measure(&self, commands: &mut [Command]) -> Result<Usage> {
        let ticks: f64 = text_of(Command::new("getconf").arg("CLK_TCK"))?.parse()?;
        let server = self.postmaster()?;
        let (client, backend, began) = (children(std::process::id())?, children(server)?, Instant::now());
        let mut usage = Usage::default();
        for command in commands {
            let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
            let said = String::from_utf8(output.stderr)?;
            if !output.status.success() {
                return Err(said.into());
            }
            for (name, value) in said.lines().filter_map(|line| line.split_once(' ')) {
                let value: f64 = value.parse().ok().ok_or_else(|| said.clone())?;
                match name {
                    "rss" => usage.rss = usage.rss.max(value),
                    "first" => usage.first = value,
                    "resources" => usage.resources += value,
                    "bytes" => usage.bytes += value,
                    _ => return Err(said.into()),
                }
            }
        }
        usage.wall = began.elapsed().as_secs_f64();
        usage.client = (children(std::process::id())? - client) / ticks;
        // A backend is counted once the postmaster has reaped it.
        while backends(server)? > 0 {
            std::thread::yield_now();
        }
        usage.backend = (children(server)? - backend) / ticks;
        Ok(usage)
    }

    fn postmaster(&self) -> Result<u32> {
        let pid = fs::read_to_string(self.dir.join("data/postmaster.pid"))?;
        Ok(pid.lines().next().ok_or("postmaster.pid is empty")?.parse()?)
    }
}

/// Server processes of connections to database `bench` that run, or have ended without being counted yet.
fn backends(postmaster: u32) -> Result<usize> {
    let pids = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"))?;
    let name = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    // An ended process has no command line any more.
    Ok(pids.split_whitespace().map(name).filter(|name| name.is_empty() || name.contains(" bench ")).count())
}

/// Clock ticks that the ended children of a process have used.
fn children(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').ok_or("no name in stat")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    // cutime and cstime, fields 16 and 17 of proc(5); what follows the name begins with field 3.
    let ticks = |at: usize| fields.get(at - 3).and_then(|text| text.parse::<f64>().ok()).ok_or("stat is short");
    Ok(ticks(16)? + ticks(17)?)
}

/// Peak resident memory of this process, MiB.
pub(crate) fn peak_rss() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1024.0)
}

/// Processor, cores and memory of this machine.
pub(crate) fn describe() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let memory = fs::read_to_string("/proc/meminfo")?;
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or("0 kB");
    let gib: f64 = total.trim().trim_end_matches(" kB").parse::<f64>()? / 1_048_576.0;
    let cores = std::thread::available_parallelism()?;
    Ok(format!("{} ({cores} cores, {gib:.0} GiB)", model.trim_start_matches([' ', '\t', ':'])))
}

fn text_of(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8(command.output()?.stdout)?.trim().to_owned())
}
