// What dlib makes of chips with its DenseNet recogniser: eight descriptors as a JSON list of lists.
//
//   tar xf dlib-20.0.1.tar.gz            # the source archive of the Python package `dlib`
//   g++ -std=c++17 -O2 -mavx -DDLIB_NO_GUI_SUPPORT -Idlib-20.0.1 dlib_densenet_reference.cpp \
//       dlib-20.0.1/dlib/all/source.cpp -lpthread -o dlib_densenet_reference
//   bunzip2 -k face_recognition_densenet_model_v1.dat.bz2
//   ./dlib_densenet_reference face_recognition_densenet_model_v1.dat
//
// What it prints is crates/facesearch-vision/tests/golden/dlib_densenet.json.

#include <cstdio>
#include <dlib/dnn.h>

using namespace dlib;

// Huang et al., Densely Connected Convolutional Networks, CVPR 2017, with 16 channels a layer.
const long growth = 16;

template <long out, long size, int stride, typename SUBNET>
using padded = add_layer<con_<out, size, size, stride, stride, size / 2, size / 2>, SUBNET>;

template <typename SUBNET> using bent = relu<affine<SUBNET>>;

template <typename SUBNET>
using dense = concat2<
    tag1, tag2,
    tag2<padded<growth, 3, 1, bent<padded<4 * growth, 1, 1, bent<tag1<SUBNET>>>>>>>;

template <long out, typename SUBNET>
using halved = avg_pool<2, 2, 2, 2, con<out, 1, 1, 1, 1, bent<SUBNET>>>;

using stem = add_layer<max_pool_<3, 3, 2, 2, 1, 1>, bent<padded<2 * growth, 7, 2, input_rgb_image>>>;
using first = halved<40, repeat<3, dense, stem>>;
using second = halved<68, repeat<6, dense, first>>;
using third = halved<130, repeat<12, dense, second>>;
using body = bent<repeat<8, dense, third>>;
// The file's normalisations become factors and summands as they are read into an `affine`.
using trained = loss_metric<fc_no_bias<128, avg_pool_everything<body>>>;

int main(int, char **arguments) {
    trained network;
    deserialize(arguments[1]) >> network;
    std::vector<matrix<rgb_pixel>> chips(8, matrix<rgb_pixel>(150, 150));
    for (int n = 0; n < 8; ++n)
        for (int y = 0; y < 150; ++y)
            for (int x = 0; x < 150; ++x) {
                auto value = [&](int c) { return (unsigned char)(x * (3 + n) + y * (7 + 2 * n) * (c + 1) + x * y / (5 + n)); };
                chips[n](y, x) = rgb_pixel(value(0), value(1), value(2));
            }
    std::printf("[");
    for (int n = 0; n < 8; ++n) {
        matrix<float, 0, 1> descriptor = network(chips[n]);
        std::printf("%s[", n ? ",\n" : "");
        for (long i = 0; i < descriptor.size(); ++i) std::printf("%s%.9g", i ? "," : "", descriptor(i));
        std::printf("]");
    }
    std::printf("]\n");
}
