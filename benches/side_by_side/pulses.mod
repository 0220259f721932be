: The stimulus of the comparison as a density mechanism, for NEURON and CoreNEURON: 0.02 mA/cm2 for 0.5 ms every 20 ms from 10 ms on.
NEURON {
    SUFFIX pulses
    NONSPECIFIC_CURRENT i
}
UNITS { (mA) = (milliamp) }
ASSIGNED { i (mA/cm2) }
BREAKPOINT {
    LOCAL since
    since = t - 10
    if (since >= 0 && since - 20*floor(since/20) < 0.5) { i = -0.02 } else { i = 0 }
}
