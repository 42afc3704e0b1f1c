/**
 * One option for each item so that the sum of costs meets a budget at the least sum of losses: minimise loss + λ·cost for
 * each item by itself, with λ found by bisection (Everett 1963; Shoham & Gersho 1988). Exact on the lower convex hull of
 * the options; what is left of the budget is then spent on the best single changes that fit.
 */
export interface Option {
  readonly cost: number;
  readonly loss: number;
}

/** Index of the option of each item. */
export type Choice = readonly number[];

const STEPS = 100;

/** Undefined where even the cheapest options cost more than the budget. */
export function chooseWithin(items: readonly (readonly Option[])[], budget: number): Choice | undefined {
  const affordable = (choice: Choice) => total(items, choice, 'cost') <= budget;
  const choice = search(items, affordable);
  return choice && fill(items, choice, budget);
}

/** The least cost with a sum of losses of at most `most`; undefined where no options have it. */
export function chooseAccurate(items: readonly (readonly Option[])[], most: number): Choice | undefined {
  // Costs and losses change places.
  const swapped = items.map((options) => options.map(({ cost, loss }) => ({ cost: loss, loss: cost })));
  return chooseWithin(swapped, most);
}

export function total(items: readonly (readonly Option[])[], choice: Choice, of: keyof Option): number {
  return items.reduce((sum, options, i) => sum + options[choice[i]][of], 0);
}

/** The smallest λ, of the cheapest choice and upwards in accuracy, at which the choice is affordable. */
function search(
  items: readonly (readonly Option[])[],
  affordable: (choice: Choice) => boolean,
): Choice | undefined {
  const at = (lambda: number) => items.map((options) => best(options, lambda));
  const free = at(0);
  if (affordable(free)) return free;
  let found: Choice | undefined = items.map(cheapest);
  if (!affordable(found)) return undefined;
  // Slopes of loss over cost span many decades: the bisection is of log λ, between slopes that no options have.
  let [low, high] = [Math.log(1e-30), Math.log(1e30)];
  for (let step = 0; step < STEPS; step++) {
    const middle = (low + high) / 2;
    const choice = at(Math.exp(middle));
    if (affordable(choice)) [found, high] = [choice, middle];
    else low = middle;
  }
  return found;
}

/** Of equal sums, the cheaper option. */
function best(options: readonly Option[], lambda: number): number {
  let at = 0;
  const value = ({ cost, loss }: Option) => loss + lambda * cost;
  options.forEach((option, i) => {
    const gain = value(options[at]) - value(option);
    if (gain > 0 || (gain === 0 && option.cost < options[at].cost)) at = i;
  });
  return at;
}

function cheapest(options: readonly Option[]): number {
  return options.reduce((at, { cost }, i) => (cost < options[at].cost ? i : at), 0);
}

/** Spends what is left: the change with the steepest fall of loss that fits, until none does. */
function fill(items: readonly (readonly Option[])[], start: Choice, budget: number): Choice {
  const choice = [...start];
  let left = budget - total(items, choice, 'cost');
  for (;;) {
    let steepest: { item: number; option: number; slope: number } | undefined;
    items.forEach((options, item) => {
      const now = options[choice[item]];
      options.forEach(({ cost, loss }, option) => {
        const more = cost - now.cost;
        const slope = (now.loss - loss) / Math.max(more, 1e-300);
        if (loss < now.loss && more <= left && slope > (steepest?.slope ?? 0))
          steepest = { item, option, slope };
      });
    });
    if (steepest === undefined) return choice;
    const { item, option } = steepest;
    left -= items[item][option].cost - items[item][choice[item]].cost;
    choice[item] = option;
  }
}
