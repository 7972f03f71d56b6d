// People in an image with LiteRT. Not compiled here.
// Model: rtmo export rtmo-s_coco rtmo-s_coco --out rtmo-s.tflite --format litert --cut raw --dynamic none --input uint8
// Put rtmo-s.tflite and rtmo-s.npz into the app's assets. Gradle: implementation("com.google.ai.edge.litert:litert:1.4.0")
package rtmo

import android.graphics.*
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import java.util.zip.ZipInputStream
import kotlin.math.*
import org.tensorflow.lite.Interpreter

class Person(val box: RectF, val score: Float, val keypoints: List<PointF>, val keypointScores: List<Float>)

/** One array of the .npz file: rows of `cols` values, leading axes in one. */
class Values(val data: FloatArray, val cols: Int) {
    operator fun get(row: Int, col: Int) = data[row * cols + col]
    val rows get() = if (cols == 0) 0 else data.size / cols
}

class Rtmo(model: ByteBuffer, parameters: InputStream, threads: Int = 4) : AutoCloseable {
    private val interpreter = Interpreter(model, Interpreter.Options().setNumThreads(threads))
    private val p = readParameters(parameters)
    private val height = interpreter.getInputTensor(0).shape()[1] // (1, height, width, 3), BGR
    private val width = interpreter.getInputTensor(0).shape()[2]
    private val maps = listOf(16, 32).flatMap { s -> MAPS.map { "${it}_$s" } }.associateWith { name ->
        val tensor = interpreter.getOutputTensorFromSignature(name, SIGNATURE)
        ByteBuffer.allocateDirect(tensor.numBytes()).order(ByteOrder.nativeOrder()) to tensor.shape()
    }

    override fun close() = interpreter.close()

    /** Finds people, best first, in pixels of the image. */
    fun predict(image: Bitmap, scoreThr: Float = 0.1f, nmsThr: Float = 0.65f, maxPeople: Int = 100): List<Person> {
        val scale = max(image.width / width.toFloat(), image.height / height.toFloat())
        val left = image.width / 2f - scale * width / 2
        val top = image.height / 2f - scale * height / 2
        val outputs = maps.mapValues { (_, map) -> map.first.apply { rewind() } as Any }
        interpreter.runSignature(mapOf<String, Any>("input" to makeInput(image, scale, left, top)), outputs, SIGNATURE)
        val found = listOf(16, 32).flatMap { findCandidates(it, scoreThr) }.sortedByDescending { it.score }
        val kept = mutableListOf<Candidate>()
        for (each in found) {
            if (kept.size < maxPeople && kept.none { iou(it.box, each.box) > nmsThr }) kept += each
        }
        return kept.map { each ->
            val features = mixKeypoints(each.pose)
            val x = locate(features, each.box[0], each.box[2], each.x, "x", width)
            val y = locate(features, each.box[1], each.box[3], each.y, "y", height)
            val (x1, y1, x2, y2) = each.box.toList()
            val box = RectF(x1 * scale + left, y1 * scale + top, x2 * scale + left, y2 * scale + top)
            Person(box, each.score, x.indices.map { PointF(x[it] * scale + left, y[it] * scale + top) }, each.visibility)
        }
    }

    private class Candidate(
        val box: FloatArray, val score: Float, val x: Float, val y: Float, val pose: FloatArray, val visibility: List<Float>,
    )

    /** Cells of one level above the threshold; box x1, y1, x2, y2 in pixels of the input. */
    private fun findCandidates(stride: Int, scoreThr: Float): List<Candidate> {
        fun read(name: String): Pair<FloatBuffer, IntArray> =
            maps.getValue("${name}_$stride").let { (bytes, shape) -> bytes.apply { rewind() }.asFloatBuffer() to shape }
        val (logits, shape) = read("class_logits")
        val (deltas, _) = read("box_deltas")
        val (visibility, keypoints) = read("visibility_logits")
        val (poses, values) = read("pose_vectors")
        val cells = shape[2] * shape[3]
        return (0 until cells).mapNotNull { cell ->
            val score = sigmoid((0 until shape[1]).maxOf { logits[it * cells + cell] })
            if (!(score > scoreThr)) return@mapNotNull null
            val x = (cell % shape[3]) * stride + (stride - 1) / 2f
            val y = (cell / shape[3]) * stride + (stride - 1) / 2f
            val (dx, dy, w, h) = List(4) { deltas[it * cells + cell] }
            val halfW = exp(w) * stride / 2
            val halfH = exp(h) * stride / 2
            val box = floatArrayOf(dx * stride + x - halfW, dy * stride + y - halfH, dx * stride + x + halfW, dy * stride + y + halfH)
            val pose = FloatArray(values[1]) { poses[it * cells + cell] }
            Candidate(box, score, x, y, pose, List(keypoints[1]) { sigmoid(visibility[it * cells + cell]) })
        }
    }

    /** Features (K, F) of the keypoints of a pose vector: a linear layer and gated attention between the keypoints. */
    private fun mixKeypoints(pose: FloatArray): Array<FloatArray> {
        val weight = p.getValue("pose_weight")
        val f = p.getValue("projection_x").rows
        val features = Array(weight.rows / f) { k ->
            FloatArray(f) { i -> p.getValue("pose_bias").data[k * f + i] + pose.indices.sumOfFloat { weight[k * f + i, it] * pose[it] } }
        }
        val uv = p.getValue("uv_weight")
        if (uv.rows == 0) return features
        val out = p.getValue("out_weight")
        val (gain, scale, offset) = listOf("norm_gain", "scale", "offset").map(p::getValue)
        val v = out.cols
        val a = scale.cols
        val hidden = features.map { row ->
            val norm = max(sqrt(row.indices.sumOfFloat { row[it] * row[it] } / f), 1e-5f)
            FloatArray(uv.rows) { o -> row.indices.sumOfFloat { row[it] / norm * gain.data[0] * uv[o, it] }.let { it * sigmoid(it) } }
        }
        fun shift(i: Int) = hidden.mapIndexed { k, h -> FloatArray(a) { h[2 * v + it] * scale[i, it] + offset[i * features.size + k, it] } }
        val queries = shift(0)
        val keys = shift(1)
        return Array(features.size) { k ->
            val weights = keys.map { key -> max(key.indices.sumOfFloat { queries[k][it] * key[it] } / sqrt(a.toFloat()), 0f).pow(2) }
            val mixed = FloatArray(v) { i -> hidden[k][i] * hidden.indices.sumOfFloat { weights[it] * hidden[it][v + i] } }
            FloatArray(f) { i -> p.getValue("residual").data[i] * features[k][i] + mixed.indices.sumOfFloat { mixed[it] * out[i, it] } }
        }
    }

    /** Coordinates of the keypoints along one axis: the mean of the bins' places, weighted by their probabilities. */
    private fun locate(features: Array<FloatArray>, from: Float, to: Float, prior: Float, axis: String, size: Int): FloatArray {
        val coversImage = p.getValue("covers_image").data[0] != 0f
        val length = if (coversImage) size.toFloat() else (to - from) * p.getValue("box_padding").data[0]
        val middle = if (coversImage) size / 2f else (from + to) / 2
        val projection = p.getValue("projection_$axis")
        val learned = p.getValue("encoding_$axis")
        val bins = p.getValue("num_bins").data[if (axis == "x") 0 else 1].toInt()
        val half = projection.cols / 2
        val steps = FloatArray(bins) { (it / (bins - 1f) - 0.5f) * length }
        val encoding = Array(bins) { b ->
            FloatArray(2 * half) { e ->
                val angle = (steps[b] + middle - prior) / p.getValue("temperature").data[0].pow((e % half) / half.toFloat())
                if (learned.rows > 0) learned[b, e] else if (e < half) cos(angle) else sin(angle)
            }
        }
        return FloatArray(features.size) { k ->
            val row = FloatArray(2 * half) { e -> features[k].indices.sumOfFloat { features[k][it] * projection[it, e] } }
            val logits = FloatArray(bins) { b -> row.indices.sumOfFloat { row[it] * encoding[b][it] } }
            val powers = logits.max().let { largest -> FloatArray(bins) { exp(logits[it] - largest) } }
            steps.indices.sumOfFloat { powers[it] * steps[it] } / powers.sum() + middle
        }
    }

    /** The image in the middle of the network's input, on gray, as BGR bytes. */
    private fun makeInput(image: Bitmap, scale: Float, left: Float, top: Float): ByteBuffer {
        val padded = Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888)
        val matrix = Matrix().apply { postTranslate(-left, -top); postScale(1 / scale, 1 / scale) }
        Canvas(padded).apply { drawColor(Color.rgb(114, 114, 114)); drawBitmap(image, matrix, Paint(Paint.FILTER_BITMAP_FLAG)) }
        val pixels = IntArray(width * height).also { padded.getPixels(it, 0, width, 0, 0, width, height) }
        val bytes = ByteBuffer.allocateDirect(3 * pixels.size).order(ByteOrder.nativeOrder())
        for (pixel in pixels) bytes.put(pixel.toByte()).put((pixel shr 8).toByte()).put((pixel shr 16).toByte())
        return bytes.apply { rewind() }
    }

    private companion object {
        const val SIGNATURE = "serving_default"
        val MAPS = listOf("class_logits", "box_deltas", "visibility_logits", "pose_vectors")

        fun sigmoid(logit: Float) = 1 / (1 + exp(-logit))

        inline fun IntRange.sumOfFloat(value: (Int) -> Float): Float {
            var sum = 0f
            for (i in this) sum += value(i)
            return sum
        }

        fun iou(a: FloatArray, b: FloatArray): Float {
            val shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0f) * max(min(a[3], b[3]) - max(a[1], b[1]), 0f)
            return shared / max((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared, 1e-6f)
        }

        /** Reads a .npz file: NumPy arrays as entries of a ZIP archive. */
        fun readParameters(stream: InputStream): Map<String, Values> = ZipInputStream(stream).use { zip ->
            generateSequence { zip.nextEntry }.associate { entry ->
                val bytes = ByteBuffer.wrap(zip.readBytes()).order(ByteOrder.LITTLE_ENDIAN)
                val start = 10 + bytes.getShort(8)
                val header = String(bytes.array(), 10, start - 10)
                val type = Regex("'descr': '(...)'").find(header)!!.groupValues[1]
                val shape = Regex("\\d+").findAll(header.substringAfter("(").substringBefore(")")).map { it.value.toInt() }.toList()
                bytes.position(start)
                val data = FloatArray(shape.fold(1, Int::times)) {
                    when (type) { "<f4" -> bytes.float; "<i8" -> bytes.long.toFloat(); else -> bytes.get().toFloat() }
                }
                entry.name.removeSuffix(".npy") to Values(data, shape.lastOrNull() ?: 1)
            }
        }
    }
}
