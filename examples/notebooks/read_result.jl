# Reads the result of examples/studies/cramp.toml.
#
#     julia -e 'using Pkg; Pkg.add(["HDF5", "NCDatasets"])'
#     julia read_result.jl cramp.h5
#
# Julia's arrays are stored the other way round: what is (time, trace) in the file is [trace, time] here.

using HDF5, NCDatasets
using Statistics: mean

path = isempty(ARGS) ? "cramp.h5" : ARGS[1]

# With named axes, units and descriptions:
NCDataset(path) do run
    println(run.attrib["title"], " (", run.attrib["status"], ")")
    v = run["membrane.V"]
    println(v.attrib["long_name"], " in ", v.attrib["units"], ", size ", size(v))
    println("largest value of fibre ", run["trace"][1], ": ", maximum(v[1, :]))

    # Share of the fibres with three or more action potentials after the train, by chloride conductance.
    after = run["after.count"][:]
    chloride = run["chloride.fraction"][:]
    for c in sort(unique(chloride))
        println("chloride ", c, ": ", mean(after[chloride .== c] .>= 3))
    end
end

# As plain HDF5, with the groups beside the root:
h5open(path) do run
    println("scheme ", read_attribute(run, "scheme"))
    times = read(run["events/spike_time"])
    fibres = read(run["events/spike_fibre"])
    println(length(times), " action potentials; the first of fibre 0 at ", minimum(times[fibres .== 0]), " ms")
    println("largest shift of an action potential from the reference: ", read(run["agreement/spike_shift"]), " ms")
end
