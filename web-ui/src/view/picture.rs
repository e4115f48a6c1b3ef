//! A picture of boxes in columns with lines from left to right, drawn as SVG by the region, without scripts; every box has its
//! words too.

use super::network_map::Node;
use askama::Template;
use askama::filters::HtmlSafe;

const ROW: u32 = 58;
const HEIGHT: u32 = 44;
const COLUMN: u32 = 220;
const WIDTH: u32 = 170;

/// Where a box is: its left upper corner.
pub type Place = (u32, u32);

/// The picture, which grows with its boxes.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "picture.html")]
pub struct Picture {
    /// What it shows, for those who do not see it.
    pub label: &'static str,
    /// Width of the picture.
    pub width: u32,
    /// Height of the picture.
    pub height: u32,
    /// Boxes.
    pub nodes: Vec<Node>,
    /// Lines between boxes, as SVG's path data.
    pub links: Vec<String>,
    /// Boxes in each column.
    rows: Vec<u32>,
}

impl HtmlSafe for Picture {}

impl Picture {
    /// An empty one.
    pub fn new(label: &'static str) -> Self {
        Self { label, width: 0, height: 0, nodes: Vec::new(), links: Vec::new(), rows: Vec::new() }
    }

    /// Puts a box under the others of its column, counted from 0.
    pub fn add(&mut self, column: u32, class: &'static str, title: String, detail: String) -> Place {
        let at = column as usize;
        if self.rows.len() <= at {
            self.rows.resize(at + 1, 0);
        }
        let (x, y) = (column * COLUMN + 1, self.rows[at] * ROW + 4);
        self.rows[at] += 1;
        self.nodes.push(Node { x, y, width: WIDTH, height: HEIGHT, class, title, detail });
        self.width = self.width.max(x + WIDTH + 1);
        self.height = self.height.max(y + ROW);
        (x, y)
    }

    /// Draws a line from the right of one box to the left of another. Over columns between them it goes below the first
    /// box's row, where no box is.
    pub fn link(&mut self, from: Place, to: Place) {
        let (x1, y1, x2, y2) = (from.0 + WIDTH, from.1 + HEIGHT / 2, to.0, to.1 + HEIGHT / 2);
        let bend = (COLUMN - WIDTH) / 2;
        self.links.push(if x2 - x1 > COLUMN - WIDTH {
            let free = from.1 + HEIGHT + (ROW - HEIGHT) / 2;
            let (after, before) = (x1 + 2 * bend, x2 - 2 * bend);
            format!(
                "M{x1} {y1} C{} {y1} {} {free} {after} {free} H{before} C{} {free} {} {y2} {x2} {y2}",
                x1 + bend,
                x1 + bend,
                before + bend,
                before + bend
            )
        } else {
            format!("M{x1} {y1} C{} {y1} {} {y2} {x2} {y2}", x1 + bend, x2 - bend)
        });
    }

    /// The column of the box with this title.
    #[cfg(test)]
    pub fn column(&self, title: &str) -> Option<u32> {
        self.nodes.iter().find(|n| n.title == title).map(|n| n.x / COLUMN)
    }
}
