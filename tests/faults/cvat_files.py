"""CVAT exports for tests, in the form that CVAT documents as "CVAT for images 1.1"."""

import html

SHAPE = '<circle r="1.5" cx="{0}0" cy="20" data-type="element node" data-element-id="{0}" data-node-id="{0}" {1}>'
EDGE = '<line x1="1" y1="2" x2="3" y2="4" stroke="black" data-type="edge" data-node-from="{}" stroke-width="0.5" data-node-to="{}"></line>'  # noqa: E501


def draw(names, bones=(), label="data-label-name"):
    """Return a skeleton's drawing as CVAT exports it: HTML, in which a node has a number and a name."""
    nodes = [SHAPE.format(number, f'{label}="{name}"') + "</circle>" for number, name in enumerate(names, start=1)]
    return "".join([*(EDGE.format(*bone) for bone in bones), *nodes])


def declare(name, parts, svg=""):
    """Return the labels of a skeleton: its own, and one for each point, which names its parent."""
    drawing = f"<svg>{html.escape(svg, quote=False)}</svg>" if svg else ""
    own = (
        f"<label><name>{name}</name><color>#fa3253</color><type>skeleton</type><attributes></attributes>"
        f"{drawing}</label>"
    )
    points = [
        f"<label><name>{part}</name><color>#d12345</color><type>points</type><attributes></attributes>"
        f"<parent>{name}</parent></label>"
        for part in parts
    ]
    return own + "".join(points)


def skeleton(label, points, **attributes):
    """Return a skeleton: points are (label, x, y) and, if given, occluded and outside."""
    extra = "".join(f' {key}="{value}"' for key, value in attributes.items())
    drawn = "".join(
        f'<points label="{name}" source="manual" outside="{more[1] if len(more) > 1 else 0}" '
        f'occluded="{more[0] if more else 0}" points="{x},{y}"></points>'
        for name, x, y, *more in points
    )
    return f'<skeleton label="{label}" source="manual" z_order="0"{extra}>{drawn}</skeleton>'


def image(name, *shapes, number=0, size=(640, 480)):
    return f'<image id="{number}" name="{name}" width="{size[0]}" height="{size[1]}">{"".join(shapes)}</image>'


def export(labels, *images, unit="task"):
    """Return a whole file; a project's or a job's export has ``unit`` in place of the task."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
        f"<meta><{unit}><id>4</id><name>poses</name><size>2</size><mode>annotation</mode><overlap>0</overlap>"
        f"<labels>{labels}</labels></{unit}><dumped>2024-09-25 11:38:28.799808+03:00</dumped></meta>"
        f"{''.join(images)}</annotations>"
    )
