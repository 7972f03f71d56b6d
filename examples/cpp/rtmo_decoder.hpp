// People from the maps of an RTMO file of the cut `raw`: letterbox, NMS and the Dynamic Coordinate Classifier.
// Needs OpenCV's core and imgproc alone, so it serves every runtime. The classifier's parameters are in the .npz file
// that `rtmo export --cut raw` writes beside the model.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace rtmo {

struct Person {
    cv::Vec4f box;  // x1, y1, x2, y2
    float score;
    std::vector<cv::Vec3f> keypoints;  // x, y, score
    const float* pose;                 // before the classifier: pose vector, with `step` floats between two values
    size_t step;
    cv::Point2f prior;
};

// Maps of one level, each (C, height, width) in a row: as the outputs *_16 and *_32 of the file.
struct Level {
    int stride, height, width, num_classes, num_keypoints, num_values;
    const float *class_logits, *box_deltas, *visibility_logits, *pose_vectors;
};

using Parameters = std::map<std::string, cv::Mat>;  // float32, leading axes in one

// Read a .npz file: stored, not compressed, NumPy arrays one after another.
inline Parameters read_parameters(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    Parameters arrays;
    auto number = [&](size_t at) { return uint8_t(bytes.at(at)) | uint8_t(bytes.at(at + 1)) << 8; };
    for (size_t at = 0; bytes.compare(at, 4, "PK\3\4") == 0;) {
        const size_t name_size = number(at + 26), array = at + 30 + name_size + number(at + 28);
        const std::string name = bytes.substr(at + 30, name_size - 4);  // without .npy
        const size_t header_size = number(array + 8), data = array + 10 + header_size;
        const std::string header = bytes.substr(array + 10, header_size);
        const std::string type = header.substr(header.find("descr") + 9, 3);
        std::vector<int> shape;
        for (size_t c = header.find("(") + 1; header[c] != ')'; c++)
            if (isdigit(header[c])) shape.push_back(std::stoi(header.substr(c))), c = header.find_first_of(",)", c) - 1;
        const int cols = shape.empty() ? 1 : shape.back();
        const int count = std::accumulate(shape.begin(), shape.end(), 1, std::multiplies<int>());
        const size_t size = type == "|b1" ? 1 : type == "<i8" ? 8 : 4;
        cv::Mat values(cols ? count / cols : 0, cols, CV_32F);
        for (int i = 0; i < count; i++) {
            const char* value = bytes.data() + data + i * size;
            int64_t whole = 0;
            float real = 0;
            std::memcpy(type == "<f4" ? static_cast<void*>(&real) : &whole, value, size);
            values.ptr<float>()[i] = type == "<f4" ? real : float(whole);
        }
        arrays[name] = values;
        at = data + count * size;
    }
    if (!arrays.count("pose_weight")) throw std::runtime_error(path + " does not hold a coordinate classifier.");
    return arrays;
}

// An image in the middle of the network's input, on gray; `scale` and `corner` map the input back to the image.
struct Letterbox {
    float scale;
    cv::Point2f corner;
    cv::Mat padded;

    Letterbox(const cv::Mat& image, cv::Size size) {
        scale = std::max(float(image.cols) / size.width, float(image.rows) / size.height);
        corner = {image.cols / 2.f - scale * size.width / 2, image.rows / 2.f - scale * size.height / 2};
        const cv::Matx23f matrix(1 / scale, 0, -corner.x / scale, 0, 1 / scale, -corner.y / scale);
        cv::warpAffine(image, padded, matrix, size, cv::INTER_LINEAR, cv::BORDER_CONSTANT, {114, 114, 114});
    }
};

inline float sigmoid(float logit) { return 1 / (1 + std::exp(-logit)); }

inline float iou(const cv::Vec4f& a, const cv::Vec4f& b) {
    const float width = std::min(a[2], b[2]) - std::max(a[0], b[0]), height = std::min(a[3], b[3]) - std::max(a[1], b[1]);
    const float shared = std::max(width, 0.f) * std::max(height, 0.f);
    return shared / std::max((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared, 1e-6f);
}

// Features of the keypoints (K, F) of a pose vector: a linear layer and gated attention between the keypoints.
inline cv::Mat mix_keypoints(const Parameters& p, const Person& person) {
    cv::Mat pose(p.at("pose_weight").cols, 1, CV_32F);
    for (int i = 0; i < pose.rows; i++) pose.ptr<float>()[i] = person.pose[i * person.step];
    cv::Mat features = p.at("pose_weight") * pose + p.at("pose_bias").reshape(1, p.at("pose_weight").rows);
    features = features.reshape(1, features.rows / p.at("projection_x").rows);
    if (p.at("uv_weight").empty()) return features;
    const int values = p.at("out_weight").cols, width = p.at("scale").cols, keypoints = features.rows;
    cv::Mat normed = features.clone(), hidden, weights;
    for (int k = 0; k < keypoints; k++)
        normed.row(k) *= p.at("norm_gain").at<float>(0) /
                         std::max(cv::norm(features.row(k)) / std::sqrt(double(features.cols)), 1e-5);
    hidden = normed * p.at("uv_weight").t();
    for (int i = 0; i < int(hidden.total()); i++) hidden.ptr<float>()[i] *= sigmoid(hidden.ptr<float>()[i]);
    const cv::Mat base = hidden.colRange(2 * values, 2 * values + width);
    auto shift = [&](int i) {
        const cv::Mat offset = p.at("offset").rowRange(i * keypoints, (i + 1) * keypoints);
        return cv::Mat(base.mul(cv::repeat(p.at("scale").row(i), keypoints, 1)) + offset);
    };
    weights = cv::max(shift(0) * shift(1).t() / std::sqrt(float(width)), 0);
    weights = weights.mul(weights) * hidden.colRange(values, 2 * values);
    weights = hidden.colRange(0, values).mul(weights) * p.at("out_weight").t();
    return features.mul(cv::repeat(p.at("residual").reshape(1, 1), keypoints, 1)) + weights;
}

// Coordinates of the keypoints along one axis: the mean of the bins' places, weighted by their probabilities.
inline void locate(const Parameters& p, Person& person, const cv::Mat& features, int axis, float input_size) {
    const bool covers_image = p.at("covers_image").at<float>(0) != 0;
    const float low = covers_image ? 0 : person.box[axis], high = covers_image ? input_size : person.box[axis + 2];
    const float length = (high - low) * (covers_image ? 1 : p.at("box_padding").at<float>(0)), middle = (low + high) / 2;
    const cv::Mat projection = p.at(axis ? "projection_y" : "projection_x");
    cv::Mat encoding = p.at(axis ? "encoding_y" : "encoding_x");
    const int bins = int(p.at("num_bins").ptr<float>()[axis]), half = projection.cols / 2;
    cv::Mat steps(bins, 1, CV_32F);
    for (int b = 0; b < bins; b++) steps.ptr<float>()[b] = (float(b) / (bins - 1) - 0.5f) * length;
    if (encoding.empty()) {
        encoding.create(bins, 2 * half, CV_32F);
        for (int b = 0; b < bins; b++)
            for (int e = 0; e < half; e++) {
                const float period = std::pow(p.at("temperature").at<float>(0), float(e) / half);
                const float angle = (steps.ptr<float>()[b] + middle - (axis ? person.prior.y : person.prior.x)) / period;
                encoding.at<float>(b, e) = std::cos(angle), encoding.at<float>(b, e + half) = std::sin(angle);
            }
    }
    const cv::Mat logits = features * projection * encoding.t();
    for (int k = 0; k < logits.rows; k++) {
        double largest;
        cv::minMaxLoc(logits.row(k), nullptr, &largest);
        cv::Mat powers;
        cv::exp(logits.row(k) - largest, powers);
        person.keypoints[k][axis] = float(powers.dot(steps.t()) / cv::sum(powers)[0]) + middle;
    }
}

// People in the maps of an image, best first, in pixels of the image.
inline std::vector<Person> decode(const std::vector<Level>& levels, const Parameters& parameters,
                                  const Letterbox& letterbox, float score_thr = 0.1f, float nms_thr = 0.65f,
                                  size_t max_people = 100) {
    std::vector<Person> found, people;
    for (const Level& level : levels)
        for (int cell = 0, cells = level.height * level.width; cell < cells; cell++) {
            float logit = level.class_logits[cell];
            for (int c = 1; c < level.num_classes; c++) logit = std::max(logit, level.class_logits[c * cells + cell]);
            if (!(sigmoid(logit) > score_thr)) continue;
            const float stride = float(level.stride), *deltas = level.box_deltas + cell;
            const cv::Point2f prior(cell % level.width * stride + (stride - 1) / 2,
                                    cell / level.width * stride + (stride - 1) / 2);
            const float x = deltas[0] * stride + prior.x, y = deltas[cells] * stride + prior.y;
            const float w = std::exp(deltas[2 * cells]) * stride / 2, h = std::exp(deltas[3 * cells]) * stride / 2;
            Person person{{x - w, y - h, x + w, y + h}, sigmoid(logit), {}, level.pose_vectors + cell, size_t(cells), prior};
            for (int k = 0; k < level.num_keypoints; k++)
                person.keypoints.emplace_back(0.f, 0.f, sigmoid(level.visibility_logits[k * cells + cell]));
            found.push_back(person);
        }
    std::stable_sort(found.begin(), found.end(), [](auto& a, auto& b) { return a.score > b.score; });
    for (const Person& person : found) {
        auto repeats = [&](const Person& better) { return iou(better.box, person.box) > nms_thr; };
        if (people.size() < max_people && std::none_of(people.begin(), people.end(), repeats)) people.push_back(person);
    }
    const cv::Point2f corner = letterbox.corner;
    for (Person& person : people) {
        const cv::Mat features = mix_keypoints(parameters, person);
        locate(parameters, person, features, 0, float(letterbox.padded.cols));
        locate(parameters, person, features, 1, float(letterbox.padded.rows));
        for (int i = 0; i < 4; i++)  // boxes end where the input ends
            person.box[i] = std::clamp(person.box[i], 0.f, float(i % 2 ? letterbox.padded.rows : letterbox.padded.cols));
        person.box = person.box * letterbox.scale + cv::Vec4f(corner.x, corner.y, corner.x, corner.y);
        for (auto& each : person.keypoints)
            each = {each[0] * letterbox.scale + corner.x, each[1] * letterbox.scale + corner.y, each[2]};
    }
    return people;
}

// One JSON object for each person and line: box, score, and keypoints as x, y, score.
inline void print(const std::vector<Person>& people) {
    for (const Person& each : people) {
        std::printf("{\"box\": [%.2f, %.2f, %.2f, %.2f], \"score\": %.4f, \"keypoints\": [", each.box[0], each.box[1],
                    each.box[2], each.box[3], each.score);
        for (size_t k = 0; k < each.keypoints.size(); k++)
            std::printf("%s[%.2f, %.2f, %.4f]", k ? ", " : "", each.keypoints[k][0], each.keypoints[k][1],
                        each.keypoints[k][2]);
        std::printf("]}\n");
    }
}

}  // namespace rtmo
