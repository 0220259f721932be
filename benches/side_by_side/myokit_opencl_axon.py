"""The axon in Myokit's OpenCL simulation, on a processor by PoCL: the very model file, Rush and Larsen's gates, Euler's potential.

Each step launches kernels, so many fibres are given. PoCL is told to use one thread.
"""

import importlib.util
import os
import pathlib

os.environ["POCL_MAX_PTHREAD_COUNT"] = "1"

import axon


def offer_pocl():
    """The package pocl-binary-distribution puts its library beside pyopencl's; tells the system's loader where it is."""
    spec = importlib.util.find_spec("pyopencl")
    libraries = sorted(pathlib.Path(spec.origin).parent.glob(".libs/libpocl*.so")) if spec else []
    if libraries and "OCL_ICD_VENDORS" not in os.environ:
        folder = axon.build_folder("opencl")
        pathlib.Path(folder, "pocl.icd").write_text(f"{libraries[0]}\n")
        os.environ["OCL_ICD_VENDORS"] = folder


def main():
    args = axon.arguments(__doc__, fibres=4096, duration_ms=20, precisions=("f32", "f64"))
    offer_pocl()
    import myokit

    model = myokit.load_model(pathlib.Path(__file__).parents[2] / "models" / "hodgkin_huxley_1952.mmt")
    model.resolve_interdependent_components()
    protocol = myokit.Protocol()
    protocol.schedule(1, axon.START_MS, axon.LENGTH_MS, axon.PERIOD_MS, 0)
    precision = myokit.SINGLE_PRECISION if args.precision == "f32" else myokit.DOUBLE_PRECISION
    simulation = myokit.SimulationOpenCL(model, protocol, ncells=args.fibres, diffusion=False, precision=precision, rl=True)
    simulation.set_step_size(axon.STEP_MS)
    potential = next(v for v in simulation._model.states() if v.label() == "membrane_potential").qname()

    def run(duration_ms):
        simulation.reset()
        log, every = ([potential], axon.STEP_MS) if args.check else (["engine.time"], duration_ms)
        with axon.Clock() as clock:
            result = simulation.run(duration_ms, log=log, log_interval=every)
        return clock, result

    if args.check:
        _, result = run(args.duration_ms)
        axon.report_spikes(axon.crossings_ms([v + 75 for v in result[potential, 0]]))
        return
    run(args.duration_ms)  # compiles
    short_ms = args.duration_ms / 10
    (short, _), (long, _) = run(short_ms), run(args.duration_ms)
    steps = args.steps - round(short_ms / axon.STEP_MS)
    axon.report_speed(args, long.cpu_s - short.cpu_s, long.wall_s - short.wall_s, steps)


if __name__ == "__main__":
    main()
