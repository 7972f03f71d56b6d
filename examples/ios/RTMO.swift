// People in an image with Core ML. Not compiled here: Xcode runs on macOS alone.
// Model: rtmo export rtmo-s_coco rtmo-s_coco --out rtmo-s.mlpackage --format coreml --cut decoded --dynamic none \
//        --input uint8 --half --top-k 100
// Add rtmo-s.mlpackage to the target; Xcode compiles it to rtmo-s.mlmodelc. iOS 16, macOS 13 or newer.
import CoreGraphics
import CoreML
import CoreVideo
import Foundation

struct Person {
    var box: CGRect
    var score: Float
    var keypoints: [(point: CGPoint, score: Float)]
}

final class RTMO {
    private let model: MLModel
    private let width: Int, height: Int
    var scoreThreshold: Float = 0.1, nmsThreshold: CGFloat = 0.65

    init(contentsOf url: URL = Bundle.main.url(forResource: "rtmo-s", withExtension: "mlmodelc")!) throws {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = .all
        model = try MLModel(contentsOf: url, configuration: configuration)
        let image = model.modelDescription.inputDescriptionsByName["input"]!.imageConstraint!
        (width, height) = (image.pixelsWide, image.pixelsHigh)
    }

    /// Find people, best first, in pixels of the image.
    func predict(_ image: CGImage) throws -> [Person] {
        let scale = max(CGFloat(image.width) / CGFloat(width), CGFloat(image.height) / CGFloat(height))
        let size = CGSize(width: CGFloat(image.width) / scale, height: CGFloat(image.height) / scale)
        let corner = CGPoint(x: (CGFloat(width) - size.width) / 2, y: (CGFloat(height) - size.height) / 2)
        let input = try MLDictionaryFeatureProvider(
            dictionary: ["input": MLFeatureValue(pixelBuffer: letterbox(image, CGRect(origin: corner, size: size)))])
        let output = try model.prediction(from: input)
        let boxes = floats(output, "dets"), keypoints = floats(output, "keypoints")  // (1, N, 5), (1, N, K, 3)
        let count = boxes.count / 5, values = keypoints.count / count
        func point(_ x: Float, _ y: Float) -> CGPoint {
            CGPoint(x: (CGFloat(x) - corner.x) * scale, y: (CGFloat(y) - corner.y) * scale)
        }
        var people: [Person] = []
        for row in 0..<count where boxes[row * 5 + 4] > scoreThreshold {  // rows are sorted, best first
            let first = point(boxes[row * 5], boxes[row * 5 + 1]), last = point(boxes[row * 5 + 2], boxes[row * 5 + 3])
            let box = CGRect(x: first.x, y: first.y, width: last.x - first.x, height: last.y - first.y)
            if people.contains(where: { overlap($0.box, box) > nmsThreshold }) { continue }
            let points = stride(from: row * values, to: (row + 1) * values, by: 3).map {
                (point: point(keypoints[$0], keypoints[$0 + 1]), score: keypoints[$0 + 2])
            }
            people.append(Person(box: box, score: boxes[row * 5 + 4], keypoints: points))
        }
        return people
    }

    /// Draw an image into a part of the network's input, on gray.
    private func letterbox(_ image: CGImage, _ target: CGRect) -> CVPixelBuffer {
        var buffer: CVPixelBuffer!
        CVPixelBufferCreate(kCFAllocatorDefault, width, height, kCVPixelFormatType_32BGRA, nil, &buffer)
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        let context = CGContext(
            data: CVPixelBufferGetBaseAddress(buffer), width: width, height: height, bitsPerComponent: 8,
            bytesPerRow: CVPixelBufferGetBytesPerRow(buffer), space: CGColorSpaceCreateDeviceRGB(),
            bitmapInfo: CGImageAlphaInfo.noneSkipFirst.rawValue | CGBitmapInfo.byteOrder32Little.rawValue)!
        context.setFillColor(red: 114 / 255, green: 114 / 255, blue: 114 / 255, alpha: 1)
        context.fill(CGRect(x: 0, y: 0, width: width, height: height))
        context.draw(image, in: target)  // centered, so the upward y axis of the context does not matter
        return buffer
    }

    private func floats(_ output: MLFeatureProvider, _ name: String) -> [Float] {
        MLShapedArray<Float>(converting: output.featureValue(for: name)!.multiArrayValue!).scalars
    }

    private func overlap(_ a: CGRect, _ b: CGRect) -> CGFloat {
        let shared = a.intersection(b)
        guard !shared.isNull else { return 0 }
        let area = shared.width * shared.height
        return area / (a.width * a.height + b.width * b.height - area)
    }
}
