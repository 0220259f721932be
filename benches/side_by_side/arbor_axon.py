"""The axon in Arbor: single compartments with the default catalogue's `hh`, fixed step, one thread, implicit Euler for the potential.

`hh` is the axon at 6.3 degrees with rest at -65 mV and the paper's closing rate of potassium: not quite the model of the comparison, but
the same work. Each cell carries one current clamp with the whole train. Cells are computed in groups that the cache holds.
"""

import math

import arbor
from arbor import units

import axon

REST_MV = -65
RADIUS_UM = 5
GROUP = 128


class Fibres(arbor.recipe):
    """Equal fibres; the potential of each can be watched."""

    def __init__(self, fibres):
        arbor.recipe.__init__(self)
        self.fibres = fibres
        self.properties = arbor.neuron_cable_properties()
        self.fibre = self.cell()

    @staticmethod
    def cell():
        tree = arbor.segment_tree()
        ends = (arbor.mpoint(x, 0, 0, RADIUS_UM) for x in (-RADIUS_UM, RADIUS_UM))
        tree.append(arbor.mnpos, *ends, tag=1)
        area_cm2 = 2 * math.pi * RADIUS_UM * 2 * RADIUS_UM * 1e-8
        amplitude_na = axon.AMPLITUDE_UA_PER_CM2 * area_cm2 * 1e3
        train = []
        for pulse in range(50):
            start_ms = axon.START_MS + pulse * axon.PERIOD_MS
            for time_ms, level in ((start_ms, 0), (start_ms, 1), (start_ms + axon.LENGTH_MS, 1), (start_ms + axon.LENGTH_MS, 0)):
                train.append((time_ms * units.ms, level * amplitude_na * units.nA))
        decor = arbor.decor().set_property(Vm=REST_MV * units.mV).paint("(all)", arbor.density("hh"))
        decor.place("(location 0 0.5)", arbor.i_clamp(train))
        return arbor.cable_cell(tree, decor, arbor.label_dict(), arbor.cv_policy_single())

    def num_cells(self):
        return self.fibres

    def cell_kind(self, gid):
        return arbor.cell_kind.cable

    def cell_description(self, gid):
        return self.fibre

    def probes(self, gid):
        return [arbor.cable_probe_membrane_voltage("(location 0 0.5)", "V")]

    def global_properties(self, kind):
        return self.properties


def main():
    args = axon.arguments(__doc__, fibres=1024, duration_ms=200)
    recipe = Fibres(args.fibres)
    context = arbor.context(threads=1)
    groups = {arbor.cell_kind.cable: arbor.partition_hint(cpu_group_size=GROUP)}
    simulation = arbor.simulation(recipe, context, arbor.partition_load_balance(recipe, context, groups))
    step = axon.STEP_MS * units.ms
    watch = simulation.sample((0, "V"), arbor.regular_schedule(step)) if args.check else None
    with axon.Clock() as clock:
        simulation.run(args.duration_ms * units.ms, step)
    if args.check:
        v = simulation.samples(watch)[0][0][:, 1] - REST_MV
        axon.report_spikes(axon.crossings_ms(v.tolist()))
    else:
        axon.report_speed(args, clock.cpu_s, clock.wall_s)


if __name__ == "__main__":
    main()
