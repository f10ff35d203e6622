//! Walking over the part of a document that a transform looks at.

use roxmltree::{Node, NodeId, NodeType};

/// An element with everything inside, except one element inside it that is left out.
#[derive(Clone, Copy)]
pub(crate) struct Subtree<'d, 'a> {
    pub(crate) apex: Node<'d, 'a>,
    pub(crate) omitted: Option<NodeId>,
}

impl<'d, 'a> Subtree<'d, 'a> {
    pub(crate) fn whole(apex: Node<'d, 'a>) -> Self {
        Self { apex, omitted: None }
    }
}

/// What a walk tells, in the order of the document. Comments are not told of.
pub(crate) trait Visitor<'d, 'a> {
    type Error;
    fn open(&mut self, element: Node<'d, 'a>) -> Result<(), Self::Error>;
    fn close(&mut self);
    fn text(&mut self, text: &'d str);
    fn instruction(&mut self, instruction: roxmltree::PI<'a>);
}

/// Walks without recursion, once over the nodes in the order they lie in memory.
pub(crate) fn walk<'d, 'a, V: Visitor<'d, 'a>>(part: Subtree<'d, 'a>, visitor: &mut V) -> Result<(), V::Error> {
    let mut open_until: Vec<usize> = Vec::with_capacity(32);
    let mut skip_until = 0;
    for node in part.apex.descendants() {
        let range = node.range();
        while open_until.last().is_some_and(|end| *end <= range.start) {
            open_until.pop();
            visitor.close();
        }
        if range.start < skip_until {
            continue;
        }
        match node.node_type() {
            NodeType::Element if Some(node.id()) == part.omitted => skip_until = range.end,
            NodeType::Element => {
                visitor.open(node)?;
                open_until.push(range.end);
            }
            NodeType::Text => visitor.text(node.text().unwrap_or_default()),
            NodeType::PI => {
                if let Some(instruction) = node.pi() {
                    visitor.instruction(instruction);
                }
            }
            NodeType::Comment | NodeType::Root => {}
        }
    }
    for _ in open_until {
        visitor.close();
    }
    Ok(())
}
