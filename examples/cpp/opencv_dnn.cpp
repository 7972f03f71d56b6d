// RTMO in OpenCV's own DNN module. See README.md for the two commands that export the model and compile this file.
#include <iostream>

#include <opencv2/dnn.hpp>
#include <opencv2/imgcodecs.hpp>

#include "rtmo_decoder.hpp"

int main(int argc, char** argv) try {
    if (argc != 6) throw std::runtime_error("usage: opencv_dnn rtmo.onnx rtmo.npz photo.jpg WIDTH HEIGHT");
    cv::dnn::Net net = cv::dnn::readNetFromONNX(argv[1]);
    const rtmo::Parameters parameters = rtmo::read_parameters(argv[2]);
    const cv::Mat image = cv::imread(argv[3]);
    if (image.empty()) throw std::runtime_error(std::string(argv[3]) + " cannot be read as an image.");
    const rtmo::Letterbox letterbox(image, {std::stoi(argv[4]), std::stoi(argv[5])});
    net.setInput(cv::dnn::blobFromImage(letterbox.padded));  // (1, 3, height, width), BGR, 0..255
    std::vector<cv::String> names;
    for (const char* stride : {"_16", "_32"})
        for (const char* map : {"class_logits", "box_deltas", "visibility_logits", "pose_vectors"})
            names.push_back(std::string(map) + stride);
    std::vector<cv::Mat> maps;
    net.forward(maps, names);
    std::vector<rtmo::Level> levels;
    for (int i = 0; i < 2; i++) {
        const cv::Mat* m = &maps[4 * i];  // each (1, C, height, width)
        levels.push_back({16 << i, m[0].size[2], m[0].size[3], m[0].size[1], m[2].size[1], m[3].size[1],
                          m[0].ptr<float>(), m[1].ptr<float>(), m[2].ptr<float>(), m[3].ptr<float>()});
    }
    rtmo::print(rtmo::decode(levels, parameters, letterbox));
    return 0;
} catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 2;
}
