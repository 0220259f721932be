// The kernel: one invocation moves one fibre, with its own step and its own time, through many steps of a dispatch.
//
// It follows a maths file (Real, kept, is_finite_real, …), ticks.wgsl and piece.wgsl. Between the marks `//> NAME` and `//<` stand
// the parts that depend on the model, the scheme and what is watched; an emitter puts its own lines there. What stands there now
// is a toy, dy/dt = -y by forward Euler, so that this text is valid as it is.
//
// The life of a fibre is that of the CPU's lanes: an iteration runs the step program once; with what it gives at the start of the
// step, the piece behind the last accepted step is closed (features fed, samples interpolated); then an edge is passed, or the step
// is accepted or rejected. Between two iterations everything that the fibre is lies in the variables below, so a dispatch may end
// after any of them. A fibre's bits depend on its parameters and its experiment alone.

struct Frame {
    // Fibres that the buffers hold.
    stride: u32,
    // Fibres of this dispatch: `count` from `first` on, or those of a list.
    first: u32,
    count: u32,
    source: u32,
    // Iterations that an invocation may take, those of inner loops counted.
    budget: u32,
    // Events that an invocation may find before it ends.
    event_quota: u32,
    // Rows of the slab: [first_row, end_row).
    first_row: u32,
    end_row: u32,
    n_traces: u32,
    // Whether fibres go on to the end of the schedule when their rows are filled.
    to_end: u32,
    n_segments: u32,
    // Places in `tables` and `given`.
    rows_at: u32,
    levels_at: u32,
    drives_at: u32,
    // Zero, which the compiler cannot know.
    zero: u32,
    spare: u32,
}

@group(0) @binding(0) var<uniform> frame: Frame;
// Ticks: segment starts and the end of the last; ticks of the rows and one sentinel; numbers of the levels' parameters.
@group(0) @binding(1) var<storage, read> tables: array<vec2<u32>>;
// Varied parameters, [parameter][fibre]; then four numbers for every segment and driven input.
@group(0) @binding(2) var<storage, read> given: array<Real>;
// Of every fibre, [what][fibre]: states, what is summed beside them, the open piece, the last error, what is gathered.
@group(0) @binding(3) var<storage, read_write> reals: array<Real>;
// Of every fibre, [what][fibre]: time keeping, then what is gathered.
@group(0) @binding(4) var<storage, read_write> words: array<u32>;
// Samples of the slab, [variable][row][trace].
@group(0) @binding(5) var<storage, read_write> samples: array<Real>;
// Events: fibre, feature, time in ticks.
@group(0) @binding(6) var<storage, read_write> events: array<vec4<u32>>;
// Lengths of list 1 and list 2, events found, nothing; then list 1 and list 2: fibres that have more to do.
@group(0) @binding(7) var<storage, read_write> queue: array<atomic<u32>>;

//> constants
const WORKGROUP: u32 = 64u;
const LAST_ERROR_AT: u32 = 1u;
const ADAPTIVE: bool = false;
const WATCHED: bool = false;
const RECORDED: bool = false;
const N_DRIVEN: u32 = 0u;
// Ticks.
const LARGEST_STEP: u32 = 1000u;
const LARGEST_SETTLING_STEP: u32 = 1000u;
const LARGEST_HELD_STEP: u32 = 1000u;
const SMALLEST_STEP: u32 = 50u;
const FIRST_STEP: u32 = 1000u;
const TICKS_PER_TIME: Real = Real(100000.0);
const MS_PER_TICK: Real = Real(1e-5);
const TIME_PER_TICK: Real = Real(1e-5);
const TOLERANCE: Real = Real(0.0);
//<

// Rows of `words`.
const NOW_LOW: u32 = 0u;
const NOW_HIGH: u32 = 1u;
const WANTED: u32 = 2u;
const PIECE_LENGTH: u32 = 3u;
const SEGMENT: u32 = 4u;
const ROW: u32 = 5u;
const FLAGS: u32 = 6u;
const ACCEPTED: u32 = 7u;
const REJECTED: u32 = 8u;
const AT_FLOOR: u32 = 9u;
const LOST_STATE: u32 = 10u;
const LOST_LOW: u32 = 11u;
const LOST_HIGH: u32 = 12u;
const TRACE: u32 = 13u;
const GATHERED_AT: u32 = 14u;

// Flags.
const OPEN: u32 = 1u;
const ON_EDGE: u32 = 2u;
// The open piece has been fed to the features, and reaches into rows that are yet to come.
const TAKEN: u32 = 4u;
const FINISHED: u32 = 8u;
const LOST: u32 = 16u;
// The smallest step had too large an error and was found to be acceptable all the same.
const FLOOR: u32 = 32u;
// States that are in memory: which of their two sides is read.
const SIDE: u32 = 64u;

const NO_TRACE: u32 = 0xffffffffu;
// In the table of levels: a number, no parameter; nothing is held.
const NUMBER: u32 = 0xffffffffu;
const NOT_HELD: u32 = 0xfffffffeu;
const LISTS_AT: u32 = 4u;

var<private> fibre: u32;
var<private> work: u32;
var<private> events_found: u32;

fn found_event(feature: u32, at: vec2<u32>) {
    let slot = atomicAdd(&queue[2], 1u);
    if slot < arrayLength(&events) {
        events[slot] = vec4<u32>(fibre, feature, at.x, at.y);
    }
    events_found += 1u;
}

fn real_at(row: u32) -> u32 {
    return row * frame.stride + fibre;
}

fn level(number: Real, parameter: u32) -> Real {
    if parameter == NUMBER {
        return number;
    }
    return given[parameter * frame.stride + fibre];
}

struct Course {
    held: bool,
    // At the start of the segment, and per ms.
    value: Real,
    rate: Real,
}

// The course of a driven input over a segment.
fn course_of(segment: u32, driven: u32) -> Course {
    let at = segment * N_DRIVEN + driven;
    let parameters = tables[frame.levels_at + at];
    if parameters.x == NOT_HELD {
        return Course(false, Real(0.0), Real(0.0));
    }
    let numbers = frame.drives_at + 4u * at;
    let start = level(given[numbers], parameters.x);
    let span = level(given[numbers + 1u], parameters.y) - start;
    return Course(true, start + span * given[numbers + 2u], span * given[numbers + 3u]);
}

// The level of a driven input that is a number for all fibres, and constant in every segment.
fn number_of(segment: u32, driven: u32) -> Real {
    return given[frame.drives_at + 4u * (segment * N_DRIVEN + driven)];
}

// The cubic through both ends of a piece at the share `x` of the way; `h` its length in the unit of the rates' time.
fn hermite(x: Real, h: Real, g0: Real, d0: Real, g1: Real, d1: Real) -> Real {
    let y = Real(1.0) - x;
    let slopes = h * x * y * (d0 * y - d1 * x);
    // Next to a pole the last slope may be no number any more, while both ends are sound.
    let bend = select(Real(0.0), slopes, is_finite_real(slopes));
    // From the nearer end: exact at both ends, and where they are equal.
    let from_start = g0 + (g1 - g0) * (x * x * (Real(1.0) + Real(2.0) * y)) + bend;
    let from_end = g1 - (g1 - g0) * (y * y * (Real(1.0) + Real(2.0) * x)) + bend;
    return select(from_end, from_start, x < Real(0.5));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    hidden_zero = frame.zero;
    var count = frame.count;
    if frame.source != 0u {
        count = atomicLoad(&queue[frame.source - 1u]);
    }
    if id.x >= count {
        return;
    }
    fibre = frame.first + id.x;
    if frame.source != 0u {
        fibre = atomicLoad(&queue[LISTS_AT + (frame.source - 1u) * frame.stride + id.x]);
    }
    var flags = words[real_at(FLAGS)];
    if (flags & (FINISHED | LOST)) != 0u {
        return;
    }
    var now = vec2<u32>(words[real_at(NOW_LOW)], words[real_at(NOW_HIGH)]);
    var wanted = words[real_at(WANTED)];
    var piece_length = words[real_at(PIECE_LENGTH)];
    var segment = words[real_at(SEGMENT)];
    var row = words[real_at(ROW)];
    var accepted = words[real_at(ACCEPTED)];
    var rejected = words[real_at(REJECTED)];
    var at_floor = words[real_at(AT_FLOOR)];
    let trace = words[real_at(TRACE)];
    var last_error = reals[real_at(LAST_ERROR_AT)];
    var segment_end = tables[segment + 1u];
    var row_at = tables[frame.rows_at + row];
    let last_row_at = tables[frame.rows_at + max(frame.end_row, 1u) - 1u];
    // The step that cannot be made smaller and does not fit ends the loop; whether the fibre is lost is decided behind it.
    var stuck = false;
    var leaves = false;
    var last_step = 0u;
    var last_stuck_error = Real(0.0);
    //> load
    var s0 = reals[real_at(0u)];
    //<
    //> drive_loaded
    //<

    loop {
        if work >= frame.budget || events_found >= frame.event_quota {
            break;
        }
        work += 1u;
        let left = ticks_between(now, segment_end);
        var step = min(wanted, select(LARGEST_STEP, LARGEST_SETTLING_STEP, (now.y & 0x80000000u) != 0u));
        if step >= left {
            step = max(left, 1u);
        } else if ADAPTIVE && 2u * step > left {
            // Two equal steps rather than one and a sliver.
            step = (left + 1u) / 2u;
        }
        if (flags & (ON_EDGE | OPEN)) == (ON_EDGE | OPEN) {
            // Nothing is stepped: the slopes that close the piece are those of a step of its own length.
            step = piece_length;
        }
        let h = Real(step) / TICKS_PER_TIME;
        //> program
        let new_0 = s0 + h * (-s0);
        let error = Real(0.0);
        let log_error = Real(0.0);
        let growth = Real(0.0);
        //<
        let on_edge = (flags & ON_EDGE) != 0u;
        let ends = on_edge && segment + 1u == frame.n_segments;
        // A pivot was too small: a step so long may damp a mode that grows.
        let may_hold = growth < Real(0.0) && (now.y & 0x80000000u) == 0u && step > LARGEST_HELD_STEP;
        let fits = !may_hold && ((is_finite_real(error) && error <= Real(1.0)) || (flags & FLOOR) != 0u);
        if !fits && !on_edge && ADAPTIVE && step > SMALLEST_STEP {
            // The piece stays open: the slopes that close it are those of a step that is taken.
            let shrink = select(Real(0.2), abs(growth), is_finite_real(growth));
            let shrunk = u32(Real(step) * shrink);
            wanted = max(select(shrunk, min(shrunk, LARGEST_HELD_STEP), may_hold), SMALLEST_STEP);
            rejected += 1u;
            continue;
        }

        if WATCHED && (flags & OPEN) != 0u {
            let piece_start = ticks_sub(now, vec2<u32>(piece_length, 0u));
            if (flags & TAKEN) == 0u {
                let length_ms = Real(piece_length) * MS_PER_TICK;
                //> gather
                //<
            }
            if !RECORDED && ticks_below(last_row_at, now) {
                row = frame.end_row;
            }
            var waits = false;
            loop {
                if !RECORDED || row >= frame.end_row || !(ticks_below(row_at, now) || (ends && !ticks_below(now, row_at))) {
                    break;
                }
                if work > frame.budget {
                    // More rows than a dispatch may write: the rest in the next one.
                    waits = true;
                    break;
                }
                work += 1u;
                if trace != NO_TRACE {
                    let share = Real(ticks_between(piece_start, row_at)) / Real(piece_length);
                    let length = Real(piece_length) * TIME_PER_TICK;
                    let place = (row - frame.first_row) * frame.n_traces + trace;
                    let n_places = (frame.end_row - frame.first_row) * frame.n_traces;
                    //> sample
                    //<
                }
                row += 1u;
                row_at = tables[frame.rows_at + row];
            }
            let filled = frame.to_end == 0u && row >= frame.end_row;
            if filled || waits {
                flags |= TAKEN;
                leaves = filled;
                break;
            }
            flags &= ~(OPEN | TAKEN);
        }
        if on_edge {
            // This iteration served only to close the piece with the inputs that held up to the edge.
            flags &= ~ON_EDGE;
            if ends {
                flags |= FINISHED;
                break;
            }
            segment += 1u;
            segment_end = tables[segment + 1u];
            wanted = min(FIRST_STEP, wanted);
            //> drive
            //<
            continue;
        }
        if !fits {
            stuck = true;
            last_stuck_error = error;
            //> set_aside
            //<
            break;
        }
        at_floor += select(0u, 1u, (flags & FLOOR) != 0u);
        flags &= ~FLOOR;
        if WATCHED && (now.y & 0x80000000u) == 0u {
            //> open
            //<
            flags |= OPEN;
            piece_length = step;
        }
        now = ticks_add(now, step);
        accepted += 1u;
        //> accept
        s0 = new_0;
        //<
        if ADAPTIVE {
            last_error = log_error;
            let grown = u32(min(Real(step) * abs(growth), Real(1073741824.0)));
            // A step cut short by an edge says nothing against the longer one that was wanted.
            wanted = max(select(grown, max(grown, wanted), step < wanted && abs(growth) >= Real(1.0)), SMALLEST_STEP);
        }
        if step == left {
            flags |= ON_EDGE;
        }
    }

    if stuck {
        // A smallest step that moves a state by more than all of it, with an error to match, does not follow the solution any
        // more: it jumps over a pole, and would come back from the other side.
        var most_moved = 0u;
        var moved = Real(0.0);
        var not_finite = NUMBER;
        //> judge_stuck
        //<
        let jumps = moved > Real(1.0) && last_stuck_error * TOLERANCE > Real(1.0);
        if !ADAPTIVE || jumps || !is_finite_real(last_stuck_error) {
            flags |= LOST;
            words[real_at(LOST_STATE)] = select(not_finite, most_moved, not_finite == NUMBER);
            words[real_at(LOST_LOW)] = now.x;
            words[real_at(LOST_HIGH)] = now.y;
        } else {
            flags |= FLOOR;
        }
    }
    //> store
    reals[real_at(0u)] = s0;
    //<
    words[real_at(NOW_LOW)] = now.x;
    words[real_at(NOW_HIGH)] = now.y;
    words[real_at(WANTED)] = wanted;
    words[real_at(PIECE_LENGTH)] = piece_length;
    words[real_at(SEGMENT)] = segment;
    words[real_at(ROW)] = row;
    words[real_at(FLAGS)] = flags;
    words[real_at(ACCEPTED)] = accepted;
    words[real_at(REJECTED)] = rejected;
    words[real_at(AT_FLOOR)] = at_floor;
    reals[real_at(LAST_ERROR_AT)] = last_error;
    if !leaves && (flags & (FINISHED | LOST)) == 0u {
        // The other list: 1 for the second, where this dispatch read the second or none.
        let other = select(0u, 1u, frame.source == 1u);
        let slot = atomicAdd(&queue[other], 1u);
        atomicStore(&queue[LISTS_AT + other * frame.stride + slot], fibre);
    }
}
