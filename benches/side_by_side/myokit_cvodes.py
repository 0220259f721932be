"""One fibre at 50 Hz by CVODES, as Myokit's `Simulation` runs it, for one second or longer.

Prints simulated seconds for each second of processor time, and the error against CVODES at a tolerance of 1e-9: root mean square of the
potential, in per cent of its range, on a grid of 0.01 ms.
"""

import argparse
import pathlib

import myokit
import numpy

import axon


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("hodgkin_huxley_1952", "shorten_2007_fast"))
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--duration-ms", type=float, default=2000)
    args = parser.parse_args()

    model = myokit.load_model(pathlib.Path(__file__).parents[2] / "models" / f"{args.model}.mmt")
    potential = model.label("membrane_potential").qname()
    protocol = myokit.Protocol()
    protocol.schedule(1, axon.START_MS, axon.LENGTH_MS, axon.PERIOD_MS, 0)
    simulation = myokit.Simulation(model, protocol)

    def course(tolerance):
        simulation.reset()
        simulation.set_tolerance(tolerance, tolerance)
        log = simulation.run(args.duration_ms, log=[potential], log_interval=axon.STEP_MS)
        return numpy.array(log[potential])

    exact = course(1e-9)
    error = numpy.sqrt(numpy.mean((course(args.tolerance) - exact) ** 2)) / numpy.ptp(exact)

    simulation.reset()
    with axon.Clock() as clock:
        simulation.run(args.duration_ms, log=[potential], log_interval=args.duration_ms)
    axon.report(
        fibre_seconds_per_s=args.duration_ms / 1e3 / clock.cpu_s,
        cpu_s=clock.cpu_s,
        wall_s=clock.wall_s,
        potential_error_percent=100 * error,
        spikes=len(axon.crossings_ms(exact.tolist(), threshold=0)),
    )


if __name__ == "__main__":
    main()
