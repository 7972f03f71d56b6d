// RTMO in ONNX Runtime, through its C API, which every newer version of it keeps. See README.md for the two commands
// that export the model and compile this file.
#include <iostream>

#include <onnxruntime_c_api.h>
#include <opencv2/imgcodecs.hpp>

#include "rtmo_decoder.hpp"

static const OrtApi* api = OrtGetApiBase()->GetApi(17);  // ONNX Runtime 1.17 or newer

static void check(OrtStatus* status) {
    if (status) throw std::runtime_error(api->GetErrorMessage(status));
}

int main(int argc, char** argv) try {
    if (argc != 6) throw std::runtime_error("usage: onnx_runtime rtmo.onnx rtmo.npz photo.jpg WIDTH HEIGHT");
    const int width = std::stoi(argv[4]), height = std::stoi(argv[5]);
    const rtmo::Parameters parameters = rtmo::read_parameters(argv[2]);
    const cv::Mat image = cv::imread(argv[3]);
    if (image.empty()) throw std::runtime_error(std::string(argv[3]) + " cannot be read as an image.");
    const rtmo::Letterbox letterbox(image, {width, height});

    OrtEnv* env;
    OrtSessionOptions* options;
    OrtSession* session;
    OrtMemoryInfo* memory;
    OrtValue* input = nullptr;
    check(api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "rtmo", &env));
    check(api->CreateSessionOptions(&options));
    check(api->CreateSession(env, argv[1], options, &session));
    check(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));

    std::vector<cv::Mat> channels(3);  // (1, 3, height, width), BGR, 0..255
    std::vector<float> pixels(3 * size_t(width) * height);
    for (int c = 0; c < 3; c++) channels[c] = cv::Mat(height, width, CV_32F, &pixels[c * size_t(width) * height]);
    cv::Mat floats;
    letterbox.padded.convertTo(floats, CV_32F);
    cv::split(floats, channels);
    const int64_t shape[] = {1, 3, height, width};
    check(api->CreateTensorWithDataAsOrtValue(memory, pixels.data(), pixels.size() * sizeof(float), shape, 4,
                                              ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input));

    const char* input_name = "input";
    const char* names[] = {"class_logits_16", "box_deltas_16", "visibility_logits_16", "pose_vectors_16",
                           "class_logits_32", "box_deltas_32", "visibility_logits_32", "pose_vectors_32"};
    std::array<OrtValue*, 8> outputs{};
    check(api->Run(session, nullptr, &input_name, &input, 1, names, 8, outputs.data()));
    std::array<float*, 8> maps{};
    std::array<std::array<int64_t, 4>, 8> shapes{};
    for (int i = 0; i < 8; i++) {
        OrtTensorTypeAndShapeInfo* info;
        check(api->GetTensorMutableData(outputs[i], reinterpret_cast<void**>(&maps[i])));
        check(api->GetTensorTypeAndShape(outputs[i], &info));
        check(api->GetDimensions(info, shapes[i].data(), 4));
        api->ReleaseTensorTypeAndShapeInfo(info);
    }
    std::vector<rtmo::Level> levels;
    for (int i : {0, 4})
        levels.push_back({i ? 32 : 16, int(shapes[i][2]), int(shapes[i][3]), int(shapes[i][1]), int(shapes[i + 2][1]),
                          int(shapes[i + 3][1]), maps[i], maps[i + 1], maps[i + 2], maps[i + 3]});
    rtmo::print(rtmo::decode(levels, parameters, letterbox));

    for (OrtValue* each : outputs) api->ReleaseValue(each);
    api->ReleaseValue(input);
    api->ReleaseMemoryInfo(memory);
    api->ReleaseSession(session);
    api->ReleaseSessionOptions(options);
    api->ReleaseEnv(env);
    return 0;
} catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 2;
}
