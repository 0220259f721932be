//! Which engine runs a program on the CPU.

use std::sync::OnceLock;

use super::interpret::Simd;

/// Names the engine: `interpreter` for the interpreter, anything else for the best.
const CHOICE: &str = "SARCOLEMMA_ENGINE";

/// What runs a program, and on which instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Machine code for this program, made when it is known.
    Native(Simd),
    /// A loop for each instruction.
    Interpreter(Simd),
}

impl Engine {
    /// The best that this machine has, unless the environment variable `SARCOLEMMA_ENGINE` is `interpreter`.
    pub fn best() -> Self {
        Simd::best().into()
    }

    /// The instructions.
    pub fn simd(self) -> Simd {
        match self {
            Engine::Native(simd) | Engine::Interpreter(simd) => simd,
        }
    }

    /// As shown to users: `native AVX-512`, `interpreter AVX2`.
    pub fn name(self) -> String {
        match self {
            Engine::Native(simd) => format!("native {}", simd.name()),
            Engine::Interpreter(simd) => format!("interpreter {}", simd.name()),
        }
    }
}

/// Machine code where it can be made.
impl From<Simd> for Engine {
    fn from(simd: Simd) -> Self {
        let interpreter = std::env::var(CHOICE).is_ok_and(|choice| choice == "interpreter");
        match simd {
            Simd::Avx512 | Simd::Avx2 | Simd::Neon if !interpreter && can_make_code() => {
                Engine::Native(simd)
            }
            _ => Engine::Interpreter(simd),
        }
    }
}

/// Whether the system lets a program make code: some hold that nothing runs that was written while the program ran. On aarch64 it was tried on
/// Linux alone; macOS there wants pages of a kind of their own.
fn can_make_code() -> bool {
    if cfg!(all(target_arch = "aarch64", not(target_os = "linux"))) {
        return false;
    }
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        memmap2::MmapMut::map_anon(1)
            .and_then(memmap2::MmapMut::make_exec)
            .is_ok()
    })
}
