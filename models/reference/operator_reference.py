"""Small ONNX files, one operator each in its odd forms, and onnxruntime's answer to each.

    python models/reference/operator_reference.py OUT

OUT/operators gets for each case the file (`.onnx`), an input and the output (`.in`, `.out`,
little-endian f32), and `cases.json`. Needs onnx, onnxruntime and numpy. Forms that onnxruntime
itself does not take are left out. The test that reads it: `FACESEARCH_REFERENCE=OUT cargo nextest
run -p facesearch-nn operator_parity`.
"""

import json
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

# Cases that cannot be read here, by the operator that the error must name.
REFUSED = {
    "Abs": "act_Abs",
    "Add": "Add_map_vec Add_vec_map",
    "Cast": "cast_to_whole",
    "Ceil": "act_Ceil",
    "Celu": "act_Celu",
    "ConstantOfShape": "constant_of_shape",
    "Conv": "conv_dil_uneven",
    "ConvTranspose": "convtranspose",
    "Div": (
        "Div_1_x Div_1c11_x Div_c11_x Div_c1w_x Div_chw_x Div_h1_x Div_hw_x Div_map_vec Div_maps "
        "Div_s_x Div_vec_map Div_w_x"
    ),
    "Elu": "act_Elu act_elu",
    "Erf": "act_Erf",
    "Expand": "expand",
    "Flatten": "flatten2",
    "Floor": "act_Floor",
    "Gather": "gather_bgr gather_one",
    "Gelu": "act_Gelu act_Gelu_tanh",
    "Gemm": "gemm_bscalar",
    "GlobalMaxPool": "gmp",
    "HardSigmoid": "act_HardSigmoid act_hardsig_ab",
    "HardSwish": "act_HardSwish",
    "InstanceNormalization": "instancenorm",
    "LayerNormalization": "layernorm layernorm_vec",
    "Log": "act_Log",
    "LpNormalization": "lpnorm lpnorm_map",
    "MatMul": "matmul_const_left matmul_two",
    "Max": "max_const",
    "MaxPool": "maxpool_dil",
    "Min": "min_const",
    "Mish": "act_Mish",
    "Neg": "act_Neg max_two",
    "PRelu": "prelu_w",
    "Pad": "pad_axes pad_channels pad_edge pad_neg pad_reflect pad_value",
    "Pow": "pow05 pow2",
    "Reciprocal": "act_Reciprocal",
    "ReduceL1": (
        "ReduceL1_-1-2_0 ReduceL1_-1-2_1 ReduceL1_123_0 ReduceL1_123_1 ReduceL1_1_0 ReduceL1_1_1 "
        "ReduceL1_23_0 ReduceL1_23_1 ReduceL1_3_0 ReduceL1_3_1"
    ),
    "ReduceL2": (
        "ReduceL2_-1-2_0 ReduceL2_-1-2_1 ReduceL2_123_0 ReduceL2_123_1 ReduceL2_1_0 ReduceL2_1_1 "
        "ReduceL2_23_0 ReduceL2_23_1 ReduceL2_3_0 ReduceL2_3_1 l2norm_torch l2norm_vec "
        "reduce_l2_vec"
    ),
    "ReduceMax": (
        "ReduceMax_-1-2_0 ReduceMax_-1-2_1 ReduceMax_123_0 ReduceMax_123_1 ReduceMax_1_0 "
        "ReduceMax_1_1 ReduceMax_23_0 ReduceMax_23_1 ReduceMax_3_0 ReduceMax_3_1"
    ),
    "ReduceMean": (
        "Add_map_spatial Div_map_spatial Mul_map_spatial ReduceMean_123_0 ReduceMean_123_1 "
        "ReduceMean_1_0 ReduceMean_1_1 ReduceMean_3_0 ReduceMean_3_1 Sub_map_spatial"
    ),
    "ReduceProd": "shape_reduceprod",
    "ReduceSum": (
        "ReduceSum_-1-2_0 ReduceSum_-1-2_1 ReduceSum_123_0 ReduceSum_123_1 ReduceSum_1_0 "
        "ReduceSum_1_1 ReduceSum_23_0 ReduceSum_23_1 ReduceSum_3_0 ReduceSum_3_1 l2norm_mul "
        "l2norm_rsqrt"
    ),
    "ReduceSumSquare": (
        "ReduceSumSquare_-1-2_0 ReduceSumSquare_-1-2_1 ReduceSumSquare_123_0 "
        "ReduceSumSquare_123_1 ReduceSumSquare_1_0 ReduceSumSquare_1_1 ReduceSumSquare_23_0 "
        "ReduceSumSquare_23_1 ReduceSumSquare_3_0 ReduceSumSquare_3_1"
    ),
    "Reshape": "shuffle",
    "Resize": (
        "resize3_linear_align_corners resize3_linear_asymmetric resize3_linear_half_pixel "
        "resize3_nearest_align_corners resize3_nearest_pytorch_half_pixel "
        "resize_linear_align_corners resize_linear_asymmetric resize_linear_half_pixel "
        "resize_nearest_align_corners resize_nearest_pytorch_half_pixel resize_uneven"
    ),
    "Selu": "act_Selu",
    "Sign": "act_Sign",
    "Slice": "focus slice_rev slice_step",
    "Softplus": "act_Softplus",
    "Softsign": "act_Softsign",
    "Sqrt": "act_Sqrt",
    "Sub": "Sub_map_vec Sub_vec_map",
    "Sum": "sum3",
    "Tanh": "act_Tanh",
    "Tile": "tile",
}
NAMED = {case: operator for operator, cases in REFUSED.items() for case in cases.split()}

out = os.path.join(sys.argv[1], "operators")
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(7)
cases = []


def f(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def case(name, nodes, consts=None, shape=(1, 4, 11, 9), opset=13, positive=False, tolerance=1e-5):
    """A network of `nodes` from `x` to `y`; `tolerance` is a part of the largest number."""
    graph = h.make_graph(
        nodes,
        name,
        [h.make_tensor_value_info("x", T.FLOAT, shape)],
        [h.make_tensor_value_info("y", T.FLOAT, None)],
        [nh.from_array(v, k) for k, v in (consts or {}).items()],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=8)
    x = f(1, *shape[1:])
    if positive:
        x = np.abs(x) + np.float32(0.1)
    try:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        providers = ["CPUExecutionProvider"]
        session = ort.InferenceSession(model.SerializeToString(), options, providers=providers)
        y = session.run(None, {"x": x})[0]
    except Exception as error:
        print(f"onnxruntime does not take {name}: {str(error)[:100]}")
        return
    onnx.save(model, f"{out}/{name}.onnx")
    x.tofile(f"{out}/{name}.in")
    np.asarray(y, np.float32).tofile(f"{out}/{name}.out")
    cases.append(
        {
            "name": name,
            "input": x.shape,
            "output": y.shape,
            "tolerance": tolerance,
            "refused_for": NAMED.get(name),
        }
    )


N = h.make_node
# Convolutions
W = f(6, 4, 3, 3)
for pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
    for s in (1, 2, 3):
        case(
            f"conv_{pad}_{s}",
            [N("Conv", ["x", "w"], ["y"], auto_pad=pad, strides=[s, s], kernel_shape=[3, 3])],
            {"w": W},
        )
case(
    "conv_even_same_lower",
    [N("Conv", ["x", "w"], ["y"], auto_pad="SAME_LOWER", strides=[2, 1])],
    {"w": f(5, 4, 4, 2)},
)
case(
    "conv_dil",
    [N("Conv", ["x", "w", "b"], ["y"], dilations=[2, 2], pads=[2, 2, 2, 2])],
    {"w": W, "b": f(6)},
)
case(
    "conv_dil_uneven",
    [N("Conv", ["x", "w", "b"], ["y"], dilations=[2, 1], pads=[2, 1, 2, 1])],
    {"w": W, "b": f(6)},
)
case(
    "conv_dil_same",
    [N("Conv", ["x", "w", "b"], ["y"], dilations=[2, 2], auto_pad="SAME_UPPER")],
    {"w": W, "b": f(6)},
)
case(
    "conv_group",
    [N("Conv", ["x", "w", "b"], ["y"], group=2, pads=[1, 1, 1, 1])],
    {"w": f(6, 2, 3, 3), "b": f(6)},
)
case(
    "conv_depthwise",
    [N("Conv", ["x", "w", "b"], ["y"], group=4, pads=[0, 1, 2, 1], strides=[1, 2])],
    {"w": f(4, 1, 3, 3), "b": f(4)},
)
case(
    "conv_depth_multiplier",
    [N("Conv", ["x", "w", "b"], ["y"], group=4, pads=[1, 1, 1, 1])],
    {"w": f(8, 1, 3, 3), "b": f(8)},
)
case(
    "conv_1x7",
    [N("Conv", ["x", "w", "b"], ["y"], pads=[0, 3, 0, 3])],
    {"w": f(6, 4, 1, 7), "b": f(6)},
)
case(
    "conv_asym",
    [N("Conv", ["x", "w", "b"], ["y"], pads=[2, 0, 1, 3], strides=[2, 2])],
    {"w": f(6, 4, 5, 5), "b": f(6)},
)
case("convtranspose", [N("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])], {"w": f(4, 3, 2, 2)})
# Batch normalisation
bn = {"g": f(4), "b": f(4), "m": f(4), "v": np.abs(f(4)) + 0.1}
case("bn", [N("BatchNormalization", ["x", "g", "b", "m", "v"], ["y"], epsilon=1e-3)], bn)
case(
    "bn_op7", [N("BatchNormalization", ["x", "g", "b", "m", "v"], ["y"], epsilon=2e-5)], bn, opset=7
)
case("bn_op15", [N("BatchNormalization", ["x", "g", "b", "m", "v"], ["y"])], bn, opset=15)
bn2 = {"g": f(396), "b": f(396), "m": f(396), "v": np.abs(f(396)) + 0.1}
case(
    "bn_vector",
    [N("Flatten", ["x"], ["f"]), N("BatchNormalization", ["f", "g", "b", "m", "v"], ["y"])],
    bn2,
)
# Over [1,C,L]
case(
    "bn_3d",
    [N("Reshape", ["x", "s"], ["r"]), N("BatchNormalization", ["r", "g", "b", "m", "v"], ["y"])],
    {**bn, "s": np.array([1, 4, 99])},
)
# Activations
for sl, nm in (
    (f(4, 1, 1), "c11"),
    (f(1, 4, 1, 1), "1c11"),
    (f(1), "1"),
    (f(1, 1, 1), "111"),
    (f(9), "w"),
):
    case(f"prelu_{nm}", [N("PRelu", ["x", "s"], ["y"])], {"s": sl})
case("prelu_vec", [N("Flatten", ["x"], ["f"]), N("PRelu", ["f", "s"], ["y"])], {"s": f(396)})
case("prelu_shared_op9", [N("PRelu", ["x", "s"], ["y"])], {"s": f(4, 1, 1)}, opset=9)
for op in (
    "Relu",
    "Sigmoid",
    "Exp",
    "Tanh",
    "HardSwish",
    "HardSigmoid",
    "Elu",
    "Selu",
    "Softplus",
    "Softsign",
    "Neg",
    "Abs",
    "Erf",
    "Mish",
    "Celu",
    "Ceil",
    "Floor",
    "Sign",
    "Reciprocal",
):
    kw = {}
    case("act_" + op, [N(op, ["x"], ["y"], **kw)], opset=18)
case("act_Gelu", [N("Gelu", ["x"], ["y"])], opset=20)
case("act_Gelu_tanh", [N("Gelu", ["x"], ["y"], approximate="tanh")], opset=20)
case("act_Sqrt", [N("Sqrt", ["x"], ["y"])], positive=True)
case("act_Log", [N("Log", ["x"], ["y"])], positive=True)
case("act_hardsig_ab", [N("HardSigmoid", ["x"], ["y"], alpha=0.3, beta=0.4)])
case("act_leaky", [N("LeakyRelu", ["x"], ["y"], alpha=0.3)])
case("act_leaky_default", [N("LeakyRelu", ["x"], ["y"])])
case("act_elu", [N("Elu", ["x"], ["y"], alpha=0.7)])
case("pow2", [N("Pow", ["x", "e"], ["y"])], {"e": np.float32(2)})
case("pow05", [N("Pow", ["x", "e"], ["y"])], {"e": np.array([0.5], np.float32)}, positive=True)
case("clip6", [N("Clip", ["x"], ["y"], min=0.0, max=0.6)], opset=6)
case("clip_min", [N("Clip", ["x", "lo"], ["y"])], {"lo": np.float32(-0.2)})
case("clip_max", [N("Clip", ["x", "", "hi"], ["y"])], {"hi": np.float32(0.2)})
case("clip_none", [N("Clip", ["x"], ["y"])])
case("min_const", [N("Min", ["x", "c"], ["y"])], {"c": np.float32(0.2)})
case("max_const", [N("Max", ["x", "c"], ["y"])], {"c": np.float32(0.2)})
case("max_two", [N("Relu", ["x"], ["r"]), N("Neg", ["x"], ["n"]), N("Max", ["r", "n"], ["y"])])
# Arithmetic, with constants of every shape on either side
shapes = {
    "s": (),
    "1": (1,),
    "w": (9,),
    "h1": (11, 1),
    "c11": (4, 1, 1),
    "1c11": (1, 4, 1, 1),
    "chw": (4, 11, 9),
    "hw": (11, 9),
    "c1w": (4, 1, 9),
}
for op in ("Add", "Sub", "Mul", "Div"):
    for nm, s in shapes.items():
        c = f(*s) + np.float32(3)
        case(f"{op}_x_{nm}", [N(op, ["x", "c"], ["y"])], {"c": c})
        case(f"{op}_{nm}_x", [N(op, ["c", "x"], ["y"])], {"c": c}, positive=(op == "Div"))
    case(f"{op}_maps", [N("Sigmoid", ["x"], ["r"]), N(op, ["x", "r"], ["y"])])
    case(
        f"{op}_map_vec",
        [
            N("GlobalAveragePool", ["x"], ["g"]),
            N("Sigmoid", ["g"], ["r"]),
            N(op, ["x", "r"], ["y"]),
        ],
    )
    case(
        f"{op}_vec_map",
        [
            N("GlobalAveragePool", ["x"], ["g"]),
            N("Sigmoid", ["g"], ["r"]),
            N(op, ["r", "x"], ["y"]),
        ],
        positive=True,
    )
    case(
        f"{op}_map_spatial",
        [
            N("ReduceMean", ["x"], ["g"], axes=[1], keepdims=1),
            N("Sigmoid", ["g"], ["r"]),
            N(op, ["x", "r"], ["y"]),
        ],
    )
case("mul_same", [N("Mul", ["x", "x"], ["y"])])
case(
    "sum3", [N("Relu", ["x"], ["r"]), N("Sigmoid", ["x"], ["s"]), N("Sum", ["x", "r", "s"], ["y"])]
)
# Pools
for op in ("MaxPool", "AveragePool"):
    for cm in (0, 1):
        for k, st, p in (
            ((3, 3), (2, 2), (0, 0, 0, 0)),
            ((3, 3), (2, 2), (1, 1, 1, 1)),
            ((2, 2), (2, 2), (0, 0, 0, 0)),
            ((3, 2), (2, 3), (1, 0, 0, 1)),
            ((2, 2), (3, 3), (0, 0, 0, 0)),
        ):
            kw = dict(kernel_shape=k, strides=st, pads=p, ceil_mode=cm)
            case(
                f"{op}_{cm}_{k[0]}{k[1]}_{st[0]}{st[1]}_{''.join(map(str, p))}",
                [N(op, ["x"], ["y"], **kw)],
            )
            if op == "AveragePool":
                case(
                    f"{op}_incl_{cm}_{k[0]}{k[1]}_{st[0]}{st[1]}_{''.join(map(str, p))}",
                    [N(op, ["x"], ["y"], count_include_pad=1, **kw)],
                    opset=19,
                )
    for ap in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        case(f"{op}_{ap}", [N(op, ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], auto_pad=ap)])
case("maxpool_dil", [N("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[2, 2])])
case("gap", [N("GlobalAveragePool", ["x"], ["y"])])
case("gmp", [N("GlobalMaxPool", ["x"], ["y"])])
# Reductions, and how networks bring their output to unit length
for op in ("ReduceMean", "ReduceSum", "ReduceL2", "ReduceMax", "ReduceL1", "ReduceSumSquare"):
    for ax in ([2, 3], [-1, -2], [1], [3], [1, 2, 3]):
        for k in (0, 1):
            nm = f"{op}_{''.join(str(a) for a in ax)}_{k}"
            if op == "ReduceSum":
                case(nm, [N(op, ["x", "a"], ["y"], keepdims=k)], {"a": np.array(ax)})
            else:
                case(nm, [N(op, ["x"], ["y"], axes=ax, keepdims=k)])
case(
    "ReduceMean_18",
    [N("ReduceMean", ["x", "a"], ["y"], keepdims=0)],
    {"a": np.array([2, 3])},
    opset=18,
)
case(
    "reduce_l2_vec", [N("Flatten", ["x"], ["f"]), N("ReduceL2", ["f"], ["y"], axes=[1], keepdims=1)]
)
case(
    "l2norm_vec",
    [
        N("Flatten", ["x"], ["f"]),
        N("ReduceL2", ["f"], ["n"], axes=[1], keepdims=1),
        N("Div", ["f", "n"], ["y"]),
    ],
)
case(
    "l2norm_torch",
    [
        N("Flatten", ["x"], ["f"]),
        N("ReduceL2", ["f"], ["n"], axes=[1], keepdims=1),
        N("Clip", ["n", "e"], ["c"]),
        N("Shape", ["f"], ["s"]),
        N("Expand", ["c", "s"], ["ex"]),
        N("Div", ["f", "ex"], ["y"]),
    ],
    {"e": np.float32(1e-12)},
)
case("lpnorm", [N("Flatten", ["x"], ["f"]), N("LpNormalization", ["f"], ["y"], axis=1, p=2)])
case("lpnorm_map", [N("LpNormalization", ["x"], ["y"], axis=1, p=2)])
case(
    "l2norm_mul",
    [
        N("Flatten", ["x"], ["f"]),
        N("Mul", ["f", "f"], ["q"]),
        N("ReduceSum", ["q", "a"], ["n"], keepdims=1),
        N("Max", ["n", "e"], ["mx"]),
        N("Sqrt", ["mx"], ["r"]),
        N("Div", ["f", "r"], ["y"]),
    ],
    {"a": np.array([1]), "e": np.float32(1e-12)},
)
case(
    "l2norm_rsqrt",
    [
        N("Flatten", ["x"], ["f"]),
        N("Mul", ["f", "f"], ["q"]),
        N("ReduceSum", ["q", "a"], ["n"], keepdims=1),
        N("Max", ["n", "e"], ["mx"]),
        N("Sqrt", ["mx"], ["r"]),
        N("Reciprocal", ["r"], ["rr"]),
        N("Mul", ["f", "rr"], ["y"]),
    ],
    {"a": np.array([1]), "e": np.float32(1e-12)},
)
# Products
x4 = [N("Flatten", ["x"], ["f"])]
case(
    "gemm",
    x4 + [N("Gemm", ["f", "w", "b"], ["y"], alpha=0.5, beta=2.0)],
    {"w": f(396, 5), "b": f(5)},
)
case("gemm_t", x4 + [N("Gemm", ["f", "w", "b"], ["y"], transB=1)], {"w": f(5, 396), "b": f(5)})
case("gemm_b1n", x4 + [N("Gemm", ["f", "w", "b"], ["y"], transB=1)], {"w": f(5, 396), "b": f(1, 5)})
case(
    "gemm_bscalar", x4 + [N("Gemm", ["f", "w", "b"], ["y"], transB=1)], {"w": f(5, 396), "b": f(1)}
)
case("gemm_nobias", x4 + [N("Gemm", ["f", "w"], ["y"], transB=1)], {"w": f(5, 396)}, opset=13)
case(
    "gemm_zero_bias",
    x4 + [N("Gemm", ["f", "w", "b"], ["y"], transB=1, beta=0.0)],
    {"w": f(5, 396), "b": f(5)},
)
case("matmul", x4 + [N("MatMul", ["f", "w"], ["y"])], {"w": f(396, 5)})
case("matmul_rows", [N("MatMul", ["x", "w"], ["y"])], {"w": f(9, 5)})
case("matmul_const_left", [N("MatMul", ["w", "x"], ["y"])], {"w": f(7, 11)})
case(
    "matmul_two", [N("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]), N("MatMul", ["x", "t"], ["y"])]
)
# Layout
case("flatten2", [N("Flatten", ["x"], ["y"], axis=2)])
case("flatten_neg", [N("Flatten", ["x"], ["y"], axis=-3)])
case("reshape0", [N("Reshape", ["x", "s"], ["y"])], {"s": np.array([0, -1])})
case("reshape_op1", [N("Reshape", ["x"], ["y"], shape=[1, -1])], opset=1)
case("transpose", [N("Transpose", ["x"], ["y"], perm=[0, 2, 3, 1])])
case(
    "transpose_flat", [N("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]), N("Flatten", ["t"], ["y"])]
)
case("transpose_hw", [N("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]), N("Flatten", ["t"], ["y"])])
case(
    "squeeze",
    [N("GlobalAveragePool", ["x"], ["g"]), N("Squeeze", ["g", "a"], ["y"])],
    {"a": np.array([2, 3])},
)
case(
    "squeeze_op11",
    [N("GlobalAveragePool", ["x"], ["g"]), N("Squeeze", ["g"], ["y"], axes=[3, 2])],
    opset=11,
)
case(
    "unsqueeze",
    [
        N("GlobalAveragePool", ["x"], ["g"]),
        N("Squeeze", ["g", "a"], ["q"]),
        N("Unsqueeze", ["q", "a"], ["y"]),
    ],
    {"a": np.array([2, 3])},
)
case(
    "shuffle",
    [
        N("Reshape", ["x", "s"], ["r"]),
        N("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3, 4]),
        N("Reshape", ["t", "s2"], ["y"]),
    ],
    {"s": np.array([1, 2, 2, 11, 9]), "s2": np.array([1, 4, 11, 9])},
)
case(
    "shuffle_chunk",
    [
        N("Split", ["x"], ["a", "b"], axis=1),
        N("Relu", ["a"], ["ar"]),
        N("Concat", ["ar", "b"], ["y"], axis=1),
    ],
)
case(
    "split_sizes",
    [N("Split", ["x", "s"], ["a", "b"], axis=1), N("Concat", ["b", "a"], ["y"], axis=1)],
    {"s": np.array([1, 3])},
)
case(
    "split_attr",
    [N("Split", ["x"], ["a", "b"], axis=2, split=[4, 7]), N("Concat", ["b", "a"], ["y"], axis=2)],
    opset=11,
)
case(
    "split_18",
    [N("Split", ["x"], ["a", "b"], axis=2, num_outputs=2), N("Concat", ["b", "a"], ["y"], axis=2)],
    opset=18,
)
case(
    "split_negaxis",
    [N("Split", ["x", "s"], ["a", "b"], axis=-3), N("Concat", ["b", "a"], ["y"], axis=-3)],
    {"s": np.array([1, 3])},
)
case(
    "slice",
    [N("Slice", ["x", "a", "b", "c"], ["y"])],
    {"a": np.array([1, -3]), "b": np.array([100, -1]), "c": np.array([-1, 2])},
)
case(
    "slice_step",
    [N("Slice", ["x", "a", "b", "c", "d"], ["y"])],
    {
        "a": np.array([0, 0]),
        "b": np.array([100, 100]),
        "c": np.array([2, 3]),
        "d": np.array([2, 2]),
    },
)
case(
    "slice_rev",
    [N("Slice", ["x", "a", "b", "c", "d"], ["y"])],
    {"a": np.array([-1]), "b": np.array([-100]), "c": np.array([1]), "d": np.array([-1])},
)
case("slice_op9", [N("Slice", ["x"], ["y"], starts=[1], ends=[9999], axes=[1])], opset=9)
case(
    "focus",
    [
        N("Slice", ["x", "a", "b", "c", "d"], ["p"]),
        N("Slice", ["x", "e", "b", "c", "d"], ["q"]),
        N("Concat", ["p", "q"], ["y"], axis=1),
    ],
    {
        "a": np.array([0, 0]),
        "e": np.array([1, 1]),
        "b": np.array([10, 8]),
        "c": np.array([2, 3]),
        "d": np.array([2, 2]),
    },
)
case("gather_bgr", [N("Gather", ["x", "i"], ["y"], axis=1)], {"i": np.array([2, 1, 0])})
case(
    "gather_one",
    [N("Gather", ["x", "i"], ["g"], axis=2), N("Flatten", ["g"], ["y"])],
    {"i": np.array(3)},
)
case("pad0", [N("Pad", ["x", "p"], ["y"])], {"p": np.array([0, 0, 1, 2, 0, 0, 3, 0])})
case("pad_channels", [N("Pad", ["x", "p"], ["y"])], {"p": np.array([0, 2, 0, 0, 0, 3, 0, 0])})
case(
    "pad_value",
    [N("Pad", ["x", "p", "v"], ["y"])],
    {"p": np.array([0, 0, 1, 2, 0, 0, 3, 0]), "v": np.float32(0.5)},
)
case(
    "pad_reflect",
    [N("Pad", ["x", "p"], ["y"], mode="reflect")],
    {"p": np.array([0, 0, 1, 2, 0, 0, 3, 0])},
)
case(
    "pad_edge",
    [N("Pad", ["x", "p"], ["y"], mode="edge")],
    {"p": np.array([0, 0, 1, 2, 0, 0, 3, 0])},
)
case(
    "pad_op2",
    [N("Pad", ["x"], ["y"], pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="constant", value=0.0)],
    opset=2,
)
case("pad_neg", [N("Pad", ["x", "p"], ["y"])], {"p": np.array([0, 0, -1, 0, 0, 0, 0, -2])})
case(
    "pad_axes",
    [N("Pad", ["x", "p", "", "ax"], ["y"])],
    {"p": np.array([1, 2, 3, 0]), "ax": np.array([2, 3])},
    opset=18,
)
for mode, ct, nm in (
    ("nearest", "asymmetric", "floor"),
    ("nearest", "half_pixel", "round_prefer_floor"),
    ("nearest", "pytorch_half_pixel", "floor"),
    ("nearest", "align_corners", "round_prefer_floor"),
    ("linear", "half_pixel", None),
    ("linear", "asymmetric", None),
    ("linear", "align_corners", None),
):
    kw = dict(mode=mode, coordinate_transformation_mode=ct)
    if nm:
        kw["nearest_mode"] = nm
    case(
        f"resize_{mode}_{ct}",
        [N("Resize", ["x", "", "s"], ["y"], **kw)],
        {"s": np.array([1, 1, 2, 2], np.float32)},
    )
    case(
        f"resize3_{mode}_{ct}",
        [N("Resize", ["x", "", "s"], ["y"], **kw)],
        {"s": np.array([1, 1, 3, 3], np.float32)},
    )
case(
    "resize_sizes",
    [
        N(
            "Resize",
            ["x", "", "", "s"],
            ["y"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
    ],
    {"s": np.array([1, 4, 22, 18])},
)
case(
    "resize_uneven",
    [
        N(
            "Resize",
            ["x", "", "s"],
            ["y"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
    ],
    {"s": np.array([1, 1, 2, 3], np.float32)},
)
case(
    "upsample9",
    [N("Upsample", ["x", "s"], ["y"], mode="nearest")],
    {"s": np.array([1, 1, 2, 2], np.float32)},
    opset=9,
)
case("softmax_last", [N("Softmax", ["x"], ["y"])])
case("softmax_1", [N("Softmax", ["x"], ["y"], axis=1)])
case("softmax_op11", [N("Flatten", ["x"], ["f"]), N("Softmax", ["f"], ["y"])], opset=11)
case("dropout", [N("Dropout", ["x"], ["y"])])
case("dropout_ratio", [N("Dropout", ["x", "r"], ["y"])], {"r": np.float32(0.5)})
case("identity", [N("Identity", ["x"], ["y"])])
case("cast", [N("Cast", ["x"], ["y"], to=1)])
# Numbers stay in f32 here, which is nearer to the truth than the halves.
case(
    "cast_f16_f32", [N("Cast", ["x"], ["h"], to=10), N("Cast", ["h"], ["y"], to=1)], tolerance=1e-3
)
case("cast_to_whole", [N("Cast", ["x"], ["h"], to=7), N("Cast", ["h"], ["y"], to=1)])
case(
    "expand",
    [
        N("GlobalAveragePool", ["x"], ["g"]),
        N("Shape", ["x"], ["s"]),
        N("Expand", ["g", "s"], ["y"]),
    ],
)
case(
    "tile",
    [N("GlobalAveragePool", ["x"], ["g"]), N("Tile", ["g", "s"], ["y"])],
    {"s": np.array([1, 1, 3, 3])},
)
case("constant_node", [N("Constant", [], ["c"], value_float=2.5), N("Mul", ["x", "c"], ["y"])])
case(
    "constant_floats",
    [
        N("Constant", [], ["c"], value_floats=[float(i) for i in range(9)]),
        N("Mul", ["x", "c"], ["y"]),
    ],
)
case(
    "constant_of_shape",
    [
        N("ConstantOfShape", ["s"], ["c"], value=h.make_tensor("v", T.FLOAT, [1], [3.0])),
        N("Mul", ["x", "c"], ["y"]),
    ],
    {"s": np.array([9])},
)
case(
    "shape_arith",
    [
        N("Shape", ["x"], ["s"]),
        N("Slice", ["s", "z", "t"], ["b"]),
        N("Concat", ["b", "m"], ["n"], axis=0),
        N("Reshape", ["x", "n"], ["y"]),
    ],
    {"z": np.array([0]), "t": np.array([1]), "m": np.array([-1])},
)
case(
    "shape_div",
    [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "i"], ["c"], axis=0),
        N("Div", ["c", "two"], ["d"]),
        N("Unsqueeze", ["d", "z"], ["u"]),
        N("Concat", ["one", "two1", "u", "m"], ["n"], axis=0),
        N("Reshape", ["x", "n"], ["y"]),
    ],
    {
        "z": np.array([0]),
        "i": np.array(1),
        "two": np.array(2),
        "two1": np.array([2]),
        "one": np.array([1]),
        "m": np.array([-1]),
    },
)
case(
    "shape_start_end",
    [
        N("Shape", ["x"], ["s"], start=0, end=1),
        N("Concat", ["s", "m"], ["n"], axis=0),
        N("Reshape", ["x", "n"], ["y"]),
    ],
    {"m": np.array([-1])},
    opset=15,
)
case(
    "shape_reduceprod",
    [
        N("Shape", ["x"], ["s"]),
        N("Slice", ["s", "o", "e"], ["p"]),
        N("ReduceProd", ["p"], ["q"], keepdims=1),
        N("Concat", ["o", "q"], ["n"], axis=0),
        N("Reshape", ["x", "n"], ["y"]),
    ],
    {"o": np.array([1]), "e": np.array([9])},
)
case(
    "layernorm",
    [N("LayerNormalization", ["x", "g", "b"], ["y"], axis=-1)],
    {"g": f(9), "b": f(9)},
    opset=17,
)
case(
    "layernorm_vec",
    [N("Flatten", ["x"], ["f"]), N("LayerNormalization", ["f", "g", "b"], ["y"], axis=-1)],
    {"g": f(396), "b": f(396)},
    opset=17,
)
case("instancenorm", [N("InstanceNormalization", ["x", "g", "b"], ["y"])], {"g": f(4), "b": f(4)})
case(
    "weights_from_node",
    [N("Constant", [], ["w"], value=nh.from_array(W)), N("Conv", ["x", "w"], ["y"])],
)
case(
    "weights_transposed",
    [N("Transpose", ["w0"], ["w"], perm=[3, 2, 0, 1]), N("Conv", ["x", "w"], ["y"])],
    {"w0": f(3, 3, 4, 6)},
)
case("weights_identity", [N("Identity", ["w0"], ["w"]), N("Conv", ["x", "w"], ["y"])], {"w0": W})
case(
    "nhwc_in",
    [
        N("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        N("Conv", ["t", "w"], ["c"]),
        N("Transpose", ["c"], ["r"], perm=[0, 2, 3, 1]),
        N("Reshape", ["r", "s"], ["y"]),
    ],
    {"w": f(6, 3, 3, 3), "s": np.array([1, -1])},
    shape=(1, 11, 9, 3),
)
case(
    "dynamic_batch",
    [N("Conv", ["x", "w"], ["c"]), N("Flatten", ["c"], ["y"])],
    {"w": f(6, 3, 3, 3)},
    shape=("N", 3, 11, 9),
)
case(
    "preprocess_inside",
    [
        N("Sub", ["x", "mean"], ["s"]),
        N("Mul", ["s", "k"], ["m"]),
        N("Conv", ["m", "w"], ["y"], pads=[1, 1, 1, 1]),
    ],
    {"mean": np.float32(127.5), "k": np.float32(0.0078125), "w": f(6, 4, 3, 3)},
)

with open(f"{out}/cases.json", "w") as file:
    json.dump(cases, file)
missing = set(NAMED) - {case["name"] for case in cases}
assert not missing, f"no such case: {missing}"
print(len(cases), "cases")
