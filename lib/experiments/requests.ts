/**
 * Makes the requests of a run: prompt text from seeds, body encoded, labels attached.
 *
 * @module
 */

import { encodeBody, type Prompt, routeUrl } from "../client/openai.ts";
import { renderBytes, renderExactText, renderIds, type Segment } from "../prompt/generator.ts";
import { promptSegments, type PromptShape, workingSetSegments } from "../prompt/working_set.ts";
import type { InferenceRequest, PromptPlan, RequestLabels } from "../record.ts";
import { recomputeOf } from "../server/recompute.ts";
import type { Session } from "./session.ts";

/** What the text of a run's prompts depends on. */
export interface TextSeeds {
  /** Of the working set: kept over a resume. */
  readonly runSeed: string;
  /** Of unique text: different in every attempt, so that a redone cell finds none of it cached. */
  readonly attemptSeed: string;
  /** Put before the request ids, which count from 0 in every attempt. */
  readonly idPrefix: string;
}

/** Makes requests; request ids count up over the run. */
export interface RequestMaker {
  /** A request of a cell: shared beginning of `promptIndex`, then text that was never sent. */
  measure(shape: PromptShape, labels: RequestLabels, outputTokens: number): InferenceRequest;
  /** Prompt `number` of this attempt alone, whole: the same text each time it is asked for. */
  repeatable(
    shape: PromptShape,
    labels: RequestLabels,
    outputTokens: number,
    number: number,
  ): InferenceRequest;
  /** A whole working-set prompt with one token of output. */
  warmUp(shape: PromptShape, labels: RequestLabels): InferenceRequest;
}

/** A maker for one run. */
export function requestMaker(session: Session, seeds: TextSeeds): RequestMaker {
  let count = 0;
  const estimate = isEstimate(session) ? { isEstimate: true } : {};
  const make = (
    segments: readonly Segment[],
    plan: PromptPlan,
    labels: RequestLabels,
    outputTokens: number,
    pinnedBy?: number,
  ): InferenceRequest => {
    const number = count++;
    const endpoint = pinnedBy ?? endpointOf(session, labels.promptIndex, number);
    const target = session.targets[endpoint % session.targets.length]!;
    const maxOutputTokens = outputTokens;
    const recompute = labels.recompute === true ? recomputeOf(session.facts[0]!.engine) : undefined;
    const asked = recompute === undefined
      ? target
      : { ...target, extraBody: { ...target.extraBody, ...recompute.fields } };
    return {
      requestId: `${seeds.idPrefix}${labels.periodId}_r${number}`,
      labels,
      plan: {
        ...plan,
        ...estimate,
        ...(recompute?.skips === "everything" ? { achievableTokens: 0 } : {}),
      },
      api: target.api,
      url: routeUrl(target),
      body: encodeBody(asked, promptOf(session, segments), maxOutputTokens),
      maxOutputTokens,
      timeoutMs: session.config.timeoutMs,
    };
  };
  return {
    measure(shape, labels, outputTokens) {
      const segments = promptSegments(shape, {
        runSeed: seeds.runSeed,
        cellSeed: `${seeds.attemptSeed}/${labels.cellId}`,
        ...(labels.promptIndex === undefined ? {} : { promptIndex: labels.promptIndex }),
        requestNumber: count,
      });
      return make(segments, shape.plan, labels, outputTokens);
    },
    repeatable(shape, labels, outputTokens, number) {
      const segments = workingSetSegments(shape, seeds.attemptSeed, number);
      // A repeat is cached only where the prompt was sent before.
      return make(segments, shape.plan, labels, outputTokens, number);
    },
    warmUp(shape, labels) {
      const segments = workingSetSegments(shape, seeds.runSeed, labels.promptIndex ?? 0);
      const plan = { ...shape.plan, sharedTokens: 0, achievableTokens: 0 };
      return make(segments, plan, labels, 1);
    },
  };
}

/** True where the server may count prompts otherwise than they were planned. */
function isEstimate({ vocabulary, overhead }: Session): boolean {
  return vocabulary.proof === "assumed" || overhead.certainty === "assumed" ||
    (vocabulary.surplusTokens ?? 0) !== 0;
}

function promptOf(session: Session, segments: readonly Segment[]): Prompt {
  const { vocabulary, config } = session;
  if (config.promptFormat === "token-ids") return renderIds(vocabulary, segments);
  return vocabulary.encodeAndTrim === undefined
    ? renderBytes(vocabulary, segments)
    : renderExactText(vocabulary, segments);
}

/** Round robin by request; pinned: a prompt always goes to the same endpoint. */
function endpointOf(session: Session, promptIndex: number | undefined, number: number): number {
  const pinned = session.config.endpointSelection === "pinned" && promptIndex !== undefined;
  return pinned ? promptIndex : number;
}
